"""How data flows: what is granted, what is used and what is suspicious are told apart, and each leads to what is behind it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.every_store import Sqlite, outcomes
from tests.ledgers import CASES, CERTS, bare, kept, use
from tests.rooms import NOON, bearer
from tests.unit.test_console_guard import Asking, asking

from xmsec.console.pages import flows
from xmsec.model.types import Window

YESTERDAY = NOON - timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    with closing(Sqlite(tmp_path)) as store:
        yield store


@pytest.fixture
def ask(tmp_path: Path, store: Sqlite) -> Iterator[Asking]:
    kept(tmp_path)
    with asking(tmp_path, lambda: store.reader) as ask:
        yield ask


def graph(ask: Asking, *systems: str, role: str = "admin") -> dict[tuple[str, str], dict[str, Any]]:
    """The edges that the page draws, by consumer and dataset."""
    told = ask("/situation?span=week", authorization=bearer(ask.desk, role, *systems)).text
    found = re.search(r'data-kind="flow" data-chart="([^"]*)"', told)
    edges = json.loads(html.unescape(found[1])) if found else []
    return {(one["consumer"], one["dataset"]): one for one in edges}


def test_a_grant_is_declared_until_an_account_that_it_reaches_uses_it(ask: Asking, store: Sqlite) -> None:
    edge = ("role:clerk", CERTS)
    assert (graph(ask)[edge]["kind"], graph(ask)[edge]["events"]) == ("declared", 0)
    use(store, "lin", CERTS, [YESTERDAY, NOON])
    use(store, "lin.mei", CERTS, [NOON])
    assert (graph(ask)[edge]["kind"], graph(ask)[edge]["events"]) == ("used", 3)
    assert ("lin", CERTS) not in graph(ask)
    assert graph(ask)[edge]["link"].startswith("/ledger/dataset?name=")


@pytest.mark.parametrize(
    ("account", "shown", "link"),
    [
        ("wu", "wu", "/trail?of=actor&name=wu"),
        ("", "未记录账号", "/ledger/dataset?"),
        ("⟨CN_MOBILE⟩", "⟨CN_MOBILE⟩", "/ledger/dataset?"),
    ],
    ids=["an account", "no account", "a type of token"],
)
def test_use_that_no_grant_reaches_is_observed(ask: Asking, store: Sqlite, account: str, shown: str, link: str) -> None:
    use(store, account, CERTS, [NOON])
    edge = graph(ask)[shown, CERTS]
    assert (edge["kind"], edge["events"], edge["said"]) == ("observed", 1, "已使用、未授权，1 次")
    assert edge["link"].startswith(link)


def test_use_that_led_to_a_finding_is_suspicious_and_keeps_its_count(ask: Asking, store: Sqlite) -> None:
    found = next(one for outcome in outcomes(60) for one in outcome.findings if one.entity.type == "user")
    window = Window(YESTERDAY, NOON)
    store.commit([bare(findings=[msgspec.structs.replace(found, datasets=(CERTS,), system="city", time=NOON, window=window)])])
    use(store, account := found.entity.id, CERTS, [YESTERDAY])
    edge = graph(ask)[account, CERTS]
    assert (edge["kind"], edge["events"]) == ("suspicious", 1)
    assert edge["link"].startswith("/findings?")


def test_use_before_the_span_and_in_foreign_systems_is_not_drawn(ask: Asking, store: Sqlite) -> None:
    use(store, "wu", CERTS, [NOON - timedelta(days=9)])
    use(store, "wu", CASES, [NOON], "office")
    assert ("wu", CERTS) not in graph(ask)
    assert ("wu", CASES) in graph(ask)
    assert not any("wu" in edge or CASES in edge for edge in graph(ask, "city", role="viewer"))


def test_what_is_used_and_not_granted_leaves_room_for_what_is_granted(ask: Asking, store: Sqlite) -> None:
    for number in range(60):
        use(store, f"user-{number:02}", CASES, [NOON] * (number + 1), "office")
    drawn = graph(ask)
    assert len(drawn) == flows.EDGES
    assert drawn["role:clerk", CERTS]["kind"] == "declared"
    assert [one["consumer"] for one in drawn.values()][:2] == ["user-59", "user-58"]
