"""The trail's page, asked as a browser asks: a reason and a record, no value kept, no system beyond one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.contract.every_store import Sqlite, outcomes
from tests.rooms import bearer
from tests.trails import KEYRING, archived, followed, name, row
from tests.unit.test_console_guard import Asking, asking

from xmsec.console.access import HOLDS, ROLES, granted
from xmsec.runtime.trails import AT_ONCE, RECORDINGS
from xmsec.store.inquiries import Inquiries

MOBILE = 13959200417


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    traffic = [row(1, {"user.id": "u1"}, [MOBILE], 1), row(2, {"user.id": "u2"}, [MOBILE, 7], 2, "office")]
    archived(tmp_path / RECORDINGS, [traffic, [row(3, {"user.id": "u1"}, [7, 8], 90)]], check=KEYRING.check)
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(10))
        with asking(tmp_path, lambda: store.reader) as ask:
            yield ask


def question(**given: str) -> dict[str, str]:
    return {"of": "subject", "name": name(MOBILE), "reason": "request 7", **given}


def lines(text: str) -> list[str]:
    """Who stands in the lines of an answer."""
    answer = text.partition('id="answer"')[2]
    return re.findall(r'<tr><td><time.*?class="id"[^>]*>([^<]*)<', answer, re.DOTALL)


def test_a_subject_is_followed_and_the_question_is_on_record(ask: Asking, tmp_path: Path) -> None:
    answer = ask("/trail", question(), authorization=bearer(ask.desk, "data-officer"))
    assert answer.status == 200, answer.text
    assert (answer.status, lines(answer.text)) == (200, ["u1", "u2"])
    asked, answered = Inquiries(tmp_path).entries()
    assert (asked.what, asked.by, asked.body["reason"]) == ("asked", "data-officer-0", "request 7")
    assert (answered.what, answered.body["touches"]) == ("answered", "2")
    (noted,) = [one for one in ask.desk.audit.entries() if one.kind == "trail.asked"]
    assert (noted.what, noted.body["reason"]) == (name(MOBILE), "request 7")


def test_a_value_is_followed_and_kept_nowhere(ask: Asking, tmp_path: Path) -> None:
    answer = ask("/trail", question(name=f"手机 {MOBILE}"), authorization=bearer(ask.desk, "data-officer"))
    assert lines(answer.text) == ["u1", "u2"]
    assert_unkept(answer.text, tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {"reason": "  "},
        {"name": ""},
        {"name": "hello"},
        {"name": f"{MOBILE} 13800138000"},
        {"reason": "", "name": f"手机 {MOBILE}"},
        {"since": "yesterday"},
    ],
    ids=["no reason", "nobody", "no value", "two values", "a value, no reason", "no time"],
)
def test_what_cannot_be_asked_is_refused_and_not_repeated(ask: Asking, given: dict[str, str], tmp_path: Path) -> None:
    answer = ask("/trail", question(**given), authorization=bearer(ask.desk, "data-officer"))
    assert answer.status == 400
    assert str(MOBILE) not in answer.text
    assert Inquiries(tmp_path).entries() == []


@pytest.mark.parametrize("reason", ["complaint", ""], ids=["asked", "without a reason"])
def test_a_value_that_is_taken_for_an_actor_is_kept_nowhere(ask: Asking, tmp_path: Path, reason: str) -> None:
    token = bearer(ask.desk, "data-officer")
    answer = ask("/trail", question(of="actor", name=str(MOBILE), reason=reason), authorization=token)
    assert name(MOBILE) in answer.text
    assert ask(f"/trail?of=actor&name={MOBILE}", authorization=token).status == 303
    assert_unkept(answer.text, tmp_path)


def test_a_value_in_a_reason_is_kept_nowhere(ask: Asking, tmp_path: Path) -> None:
    asked = question(reason=f"{MOBILE} called about {name(7)}, from 10.1.2.3")
    answer = ask("/trail", asked, authorization=bearer(ask.desk, "data-officer"))
    assert Inquiries(tmp_path).entries()[0].body["reason"] == f"{name(MOBILE)} called about {name(7)}, from 10.1.2.3"
    assert_unkept(answer.text, tmp_path)


def assert_unkept(text: str, home: Path) -> None:
    """The value stands neither in an answer nor in any file."""
    assert str(MOBILE) not in text
    assert str(MOBILE).encode() not in b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("role", ROLES)
def test_an_answer_tells_of_the_systems_alone_that_one_may_ask_about(ask: Asking, role: str) -> None:
    answer = ask("/trail", question(), authorization=bearer(ask.desk, role, "office"))
    allowed = "trail.ask" in HOLDS[granted(role).role]
    assert (answer.status, lines(answer.text)) == ((200, ["u2"]) if allowed else (403, []))


def test_a_link_fills_the_form_in_and_asks_nothing(ask: Asking, tmp_path: Path) -> None:
    token = bearer(ask.desk, "responder")
    assert name(MOBILE) in ask(f"/trail?name={quote(name(MOBILE))}", authorization=token).text
    assert "u1" in ask("/trail?of=actor&name=u1", authorization=token).text
    answer = ask(f"/trail?name={MOBILE}", authorization=token)
    assert (answer.status, answer.headers["location"]) == (303, "/trail")
    assert Inquiries(tmp_path).entries() == []


def test_time_bounds_an_answer(ask: Asking) -> None:
    asked = question(of="actor", name="u1", since="2026-03-02T01:00", until="2026-03-02T03:00")
    assert lines(ask("/trail", asked, authorization=bearer(ask.desk, "admin")).text) == ["u1"]
    asked = question(since="2026-03-02T01:00")
    assert lines(ask("/trail", asked, authorization=bearer(ask.desk, "admin")).text) == []


def test_what_one_asked_before_is_listed_to_oneself_alone(ask: Asking) -> None:
    mine, other = bearer(ask.desk, "admin"), bearer(ask.desk, "admin")
    ask("/trail", question(reason="complaint 12"), authorization=mine)
    assert "complaint 12" in ask("/trail", authorization=mine).text
    assert "complaint 12" not in ask("/trail", authorization=other).text


def test_a_few_questions_at_once_leave_the_others_waiting(tmp_path: Path) -> None:
    trails = followed(tmp_path)
    with ExitStack() as stack:
        held = [stack.enter_context(trails.turn()) for _ in range(AT_ONCE)]
        assert all(held)
        with trails.turn() as mine:
            assert not mine
    with trails.turn() as mine:
        assert mine
