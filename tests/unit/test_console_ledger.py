"""The ledger's pages: within one's systems, reviewed with a reason, each acceptance a revision; what is rejected stays so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from tests.contract.every_store import Sqlite, outcomes
from tests.ledgers import CASES, CERTS, LEDGER, SEEN, bare, kept, observe, use
from tests.rooms import NOON, bearer
from tests.unit.test_console_guard import Asking, asking

from xmsec.console.access import HOLDS, ROLES, granted
from xmsec.console.pages import ledger
from xmsec.ledger.book import Book
from xmsec.ledger.dataset import Dataset
from xmsec.ledger.entries import Entries
from xmsec.ledger.use import accounts_of
from xmsec.model.types import Entity
from xmsec.runtime.assemble import current_ledger, keep_ledger
from xmsec.store.figures import observed, observed_datasets

OF_CERTS = f"/ledger/dataset?name={quote(CERTS, safe='')}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(10))
        observe(store, SEEN)
        yield store


@pytest.fixture
def ask(tmp_path: Path, store: Sqlite) -> Iterator[Asking]:
    kept(tmp_path)
    with asking(tmp_path, lambda: store.reader) as ask:
        yield ask


def verdict(**given: str) -> dict[str, str]:
    told = {"verdict": "accept", "dataset": CERTS, "field": "url.query", "type": "CN_MOBILE"}
    return {**told, "grade": "general-4", "reason": "seen in the gateway", **given}


def proposed(text: str) -> list[str]:
    """The types that are proposed, as the forms of the page name them."""
    found = text.partition('id="proposals"')[2].partition("</section>")[0]
    return re.findall(r'name="type" value="([^"]*)"', found)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reads_the_datasets_of_its_systems(ask: Asking, role: str) -> None:
    token = bearer(ask.desk, role, "city")
    told = ask("/ledger", authorization=token).text
    assert (CERTS in told, CASES in told) == (True, False)
    assert ask(OF_CERTS, authorization=token).status == 200
    assert ask(f"/ledger/dataset?name={quote(CASES, safe='')}", authorization=token).status == 404
    assert ask("/ledger/dataset?name=nothing", authorization=token).status == 404


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=证照", [CERTS]),
        ("system=office", [CASES]),
        ("grade=general-4", [CASES]),
        ("bare=1", [CERTS]),
        ("from=1", [CASES]),
        ("from=9", []),
        ("from=x", [CERTS, CASES]),
    ],
)
def test_the_list_is_narrowed(ask: Asking, query: str, shown: list[str]) -> None:
    told = ask(f"/ledger?{quote(query, safe='=')}", authorization=bearer(ask.desk)).text
    assert [one for one in (CERTS, CASES) if f">{one}<" in told] == shown


def test_an_acceptance_is_the_next_revision_and_changes_the_dataset(ask: Asking, tmp_path: Path) -> None:
    token = bearer(ask.desk, "data-officer")
    assert proposed(ask(OF_CERTS, authorization=token).text) == ["CN_BANK_CARD", "CN_MOBILE"]
    answer = ask("/ledger/review", verdict(), authorization=token)
    assert (answer.status, answer.headers["location"]) == (303, OF_CERTS)
    book, problems = current_ledger(tmp_path)
    (label,) = [one for one in book.labels(CERTS) if one.field == "url.query"]
    assert (problems, book.revision) == ([], 2)
    assert (label.type, label.grade, label.author) == ("CN_MOBILE", "general-4", "data-officer-0")
    assert "seen in the gateway" in label.why
    shown = ask(OF_CERTS, authorization=token).text
    assert "CN_MOBILE" not in proposed(shown)
    assert "seen in the gateway" in shown
    (noted,) = [one for one in ask.desk.audit.entries() if one.kind == "ledger.accepted"]
    assert (noted.what, noted.body["revision"], noted.body["grade"]) == (CERTS, "2", "general-4")


def test_a_decision_on_a_page_that_is_no_longer_true_changes_nothing(ask: Asking, tmp_path: Path) -> None:
    token = bearer(ask.desk, "data-officer")
    ask("/ledger/review", verdict(), authorization=token)
    other = verdict(type="CN_BANK_CARD")
    assert ask("/ledger/review", other, authorization=token).status == 400
    assert current_ledger(tmp_path)[0].revision == 2
    shown = ask(OF_CERTS, authorization=token).text
    assert 'name="instead" value="CN_MOBILE"' in shown
    assert ask("/ledger/review", {**other, "instead": "CN_MOBILE"}, authorization=token).status == 303
    assert {one.type for one in current_ledger(tmp_path)[0].labels(CERTS) if one.field == "url.query"} == {"CN_BANK_CARD"}


def test_what_awaits_review_is_found_page_by_page(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    token = bearer(ask.desk, "data-officer")
    monkeypatch.setattr(ledger, "ROWS", 1)
    monkeypatch.setattr(ledger, "WALKED", 1)
    ask("/ledger/review", {**verdict(verdict="refuse"), "dataset": CERTS}, authorization=token)
    ask("/ledger/review", {**verdict(verdict="refuse"), "type": "CN_BANK_CARD"}, authorization=token)
    first = ask("/ledger?open=1", authorization=token).text
    assert f">{CERTS}<" not in first
    assert 'href="/ledger?open=1&amp;from=1"' in first
    assert f">{CASES}<" in ask("/ledger?open=1&from=1", authorization=token).text


def test_what_is_rejected_stays_so_when_it_is_observed_again(ask: Asking, store: Sqlite, tmp_path: Path) -> None:
    token = bearer(ask.desk, "data-officer")
    ask("/ledger/review", verdict(verdict="refuse", reason="test numbers"), authorization=token)
    observe(store, SEEN)
    shown = ask(OF_CERTS, authorization=token).text
    assert proposed(shown) == ["CN_BANK_CARD"]
    assert "test numbers" in shown
    assert current_ledger(tmp_path)[0].revision == 1
    ask("/ledger/review", verdict(verdict="reopen", reason=""), authorization=token)
    assert proposed(ask(OF_CERTS, authorization=token).text) == ["CN_BANK_CARD", "CN_MOBILE"]
    kinds = [one.kind for one in ask.desk.audit.entries() if one.kind.startswith("ledger.")]
    assert kinds == ["ledger.reopened", "ledger.refused"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"reason": " "}, 400),
        ({"verdict": "refuse", "reason": ""}, 400),
        ({"verdict": "delete"}, 400),
        ({"grade": "secret"}, 400),
        ({"type": "CN_NAME"}, 400),
        ({"verdict": "refuse", "type": "CN_NAME"}, 400),
        ({"dataset": "nothing"}, 404),
    ],
    ids=["no reason", "no reason to reject", "no verdict", "no grade", "never observed", "rejected beforehand", "no dataset"],
)
def test_what_cannot_be_decided_changes_nothing(ask: Asking, given: dict[str, str], status: int, tmp_path: Path) -> None:
    assert ask("/ledger/review", verdict(**given), authorization=bearer(ask.desk, "data-officer")).status == status
    assert current_ledger(tmp_path)[0].revision == 1
    assert [one for one in ask.desk.audit.entries() if one.kind.startswith("ledger.")] == []


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_review_the_system_does(ask: Asking, role: str, tmp_path: Path) -> None:
    allowed = "ledger.review" in HOLDS[granted(role).role]
    assert ask("/ledger/review", verdict(), authorization=bearer(ask.desk, role, "office")).status == (404 if allowed else 403)
    assert ask("/ledger/review", verdict(), authorization=bearer(ask.desk, role, "city")).status == (303 if allowed else 403)
    assert current_ledger(tmp_path)[0].revision == 1 + allowed


def test_grants_say_whether_they_are_valid(ask: Asking) -> None:
    told = ask(OF_CERTS, authorization=bearer(ask.desk)).text.partition('id="grants"')[2]
    states = re.findall(
        r'<td><span class="(?:sev sev-high)?">([^<]*)</span></td>\s*<td class="wraps"><span class="title"[^>]*>([^<]*)<', told
    )
    assert states == [("有效", "role:clerk"), ("已过期", "batch")]


def test_a_grant_names_the_latest_finding_about_its_use(ask: Asking, store: Sqlite) -> None:
    first, *_ = (one for outcome in outcomes(60) for one in outcome.findings)
    about = {"kind": "contract", "datasets": (CERTS,)}
    used = [
        msgspec.structs.replace(first, id=f"{number:032}", title=title, entity=Entity("user", account), **{**about, **more})
        for number, (title, account, more) in enumerate(
            [("by a clerk", "lin", {}), ("by nobody", "zhao", {}), ("on another", "batch", {"datasets": (CASES,)})]
        )
    ]
    store.commit([bare(findings=used)])
    told = ask(OF_CERTS, authorization=bearer(ask.desk)).text.partition('id="grants"')[2]
    assert re.findall(r'href="/findings/[^>]*>([^<]*)<', told) == ["by a clerk"]


@pytest.mark.parametrize(
    ("grantee", "accounts"),
    [
        ("role:clerk", ["lin.mei", "lin"]),
        ("department:hall", ["lin.mei", "lin", "wu"]),
        ("p-lin", ["lin.mei", "lin"]),
        ("batch", ["batch"]),
    ],
)
def test_a_grant_reaches_accounts(grantee: str, accounts: list[str]) -> None:
    assert accounts_of(Book(LEDGER), grantee) == accounts


def test_datasets_that_the_ledger_lacks_are_named_to_those_who_see_all(ask: Asking, store: Sqlite) -> None:
    observe(store, {("postgres://new/<b>", "f", "CN_MOBILE"): 1})
    assert "postgres://new/&lt;b&gt;" in ask("/ledger", authorization=bearer(ask.desk)).text
    assert "postgres://new" not in ask("/ledger", authorization=bearer(ask.desk, "viewer", "city")).text


def test_a_dataset_without_a_title_is_shown_by_its_name(tmp_path: Path) -> None:
    plain = Entries(LEDGER.as_of, owners=LEDGER.owners, datasets=(Dataset("plain", "city", "approval"),))
    assert keep_ledger(tmp_path, plain)[2] == []
    with closing(Sqlite(tmp_path)) as store, asking(tmp_path, lambda: store.reader) as ask:
        assert "<h1>" in ask("/ledger/dataset?name=plain", authorization=bearer(ask.desk)).text


def test_what_was_observed_is_read_by_dataset(store: Sqlite) -> None:
    assert observed(store.connection, [CASES]) == {(CASES, "note", "CN_MOBILE"): 5}
    assert list(observed_datasets(store.connection, 9)) == sorted({place[0] for place in SEEN})
    assert list(observed_datasets(store.connection, 1)) == [min(place[0] for place in SEEN)]


def used(text: str, grant: str) -> str:
    """What stands in a grant's row, without markup."""
    row = next(row for row in text.partition('id="grants"')[2].split("<tr") if f">{grant}<" in row)
    return " ".join(re.sub(r"<[^>]*>", " ", row).split())


def test_a_grant_shows_its_use_by_the_accounts_that_it_reaches(ask: Asking, store: Sqlite) -> None:
    days = [NOON - timedelta(days=number) for number in (50, 20, 1)]
    use(store, "lin", CERTS, days)
    use(store, "lin.mei", CERTS, days[1:])
    use(store, "wu", CERTS, days)
    told = ask(OF_CERTS, authorization=bearer(ask.desk, "viewer", "city")).text
    assert "2026-03-01 12:00" in used(told, "G-1")
    assert "2026-01-11" in used(told, "G-1")
    assert "近 30 天 4 次" in used(told, "G-1")
    assert "未见使用" in used(told, "G-2")


def test_a_grant_that_rests_for_a_month_is_pointed_out(ask: Asking, store: Sqlite) -> None:
    use(store, "batch", "postgres://certs/other", [NOON - timedelta(days=90)])
    use(store, "batch", CERTS, [NOON - timedelta(days=90)])
    told = used(ask(OF_CERTS, authorization=bearer(ask.desk)).text, "G-2")
    assert "2025-12-02" in told
    assert "近 30 天未使用" in told


def test_use_in_foreign_systems_is_hidden(ask: Asking, store: Sqlite) -> None:
    use(store, "batch", CERTS, [NOON], "office")
    assert "未见使用" in used(ask(OF_CERTS, authorization=bearer(ask.desk, "viewer", "city")).text, "G-2")
    assert "2026-03-02 12:00" in used(ask(OF_CERTS, authorization=bearer(ask.desk)).text, "G-2")
