"""What administration rests on: the last administrator, links that name a person, filters of the trail, rates of sources."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from tests.contract.every_store import Sqlite, outcomes
from tests.rooms import NOON, Clock, answering, bearer, rooms
from tests.unit.test_console_guard import Asking

from xmsec.console.access import Grant
from xmsec.console.app import Desk, desk, house, routes
from xmsec.console.audit import Wanted
from xmsec.console.given import Records
from xmsec.console.keep import _SCHEMA, FILE, Keep
from xmsec.console.pace import Pace
from xmsec.console.pages.admin import chosen
from xmsec.console.sessions import USED
from xmsec.model.errors import ConfigError, PolicyError
from xmsec.model.ports import Backlog
from xmsec.runtime.service import application
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections

PASSWORD = "correct horse battery"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Iterator[Desk]:
    made = desk(tmp_path, clock)
    made.users.add("admin", PASSWORD, [Grant("admin")], "test")
    yield made
    made.keep.close()


def test_the_last_administrator_of_all_systems_is_neither_demoted_nor_disabled(kept: Desk) -> None:
    kept.users.add("partly", PASSWORD, [Grant("admin", ("office",))], "test")
    for grants in ([], [Grant("viewer")], [Grant("admin", ("office",))]):
        with pytest.raises(PolicyError, match="last administrator"):
            kept.users.grant("admin", grants, "admin")
    with pytest.raises(PolicyError):
        kept.users.disable("admin", "admin")
    kept.users.add("second", PASSWORD, [Grant("admin")], "admin")
    kept.users.disable("admin", "second")
    with pytest.raises(PolicyError):
        kept.users.grant("second", [], "second")


def test_an_invitation_names_a_person_works_once_and_voids_the_one_before(kept: Desk, clock: Clock) -> None:
    first, second = (kept.links.invite("admin", timedelta(days=3)) for _ in range(2))
    assert (kept.links.invited(first), kept.links.invited(second)) == (None, "admin")
    assert not kept.links.valid(second, "sign-in")
    assert [kept.links.use(second, None) for _ in range(2)] == [True, False]
    late = kept.links.invite("admin", timedelta(days=3))
    clock.pass_(days=3)
    assert kept.links.invited(late) is None


def test_a_printed_link_invites_nobody(kept: Desk) -> None:
    assert kept.links.invited(kept.links.make("sign-in", timedelta(days=1))) is None


def test_a_token_says_when_it_was_last_used(kept: Desk, clock: Clock) -> None:
    secret = kept.bearers.add("soc", Grant("viewer"), "admin")
    assert kept.bearers.every()[0].used == ""
    kept.bearers.find(f"Bearer {secret}")
    first = kept.bearers.every()[0].used
    assert first == "2026-03-02T12:00:00Z" or first.startswith("2026-03-02T12:00:00")
    clock.pass_(seconds=USED.total_seconds() + 1)
    kept.bearers.find(f"Bearer {secret}")
    assert kept.bearers.every()[0].used > first


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), [5, 4, 3]),
        (Wanted(kind="login"), [5, 3]),
        (Wanted(by="li"), [4, 3]),
        (Wanted(kind="login", by="li"), [3]),
        (Wanted(what="x"), [4]),
        (Wanted(since=NOON + timedelta(hours=1)), [5, 4]),
        (Wanted(since=NOON, until=NOON + timedelta(hours=1)), [3]),
    ],
    ids=["all", "kind", "person", "both", "subject", "since", "span"],
)
def test_the_trail_is_asked_by_kind_person_subject_and_time(
    kept: Desk, clock: Clock, wanted: Wanted, numbers: list[int]
) -> None:
    kept.audit.note("login", "li")
    clock.pass_(hours=2)
    kept.audit.note("finding.close", "li", "x")
    kept.audit.note("login", "wang")
    found = [entry.number for entry in kept.audit.entries(wanted=wanted) if entry.number > 2]
    assert found == numbers
    assert (kept.audit.named("kind"), kept.audit.named("by")) == (
        ["finding.close", "login", "user.added", "user.roles"],
        ["li", "test", "wang"],
    )
    assert kept.audit.broken() is None


def test_a_file_of_the_version_before_is_brought_along(tmp_path: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.executescript(f"{_SCHEMA}; PRAGMA user_version = 1;")
        connection.execute("INSERT INTO tokens VALUES ('0', 'soc', 'viewer', '*', 0, '2026-03-02T12:00:00Z')")
        connection.commit()
    made = desk(tmp_path, clock)
    assert [(one.name, one.used) for one in made.bearers.every()] == [("soc", "")]
    made.keep.close()
    Keep(tmp_path / FILE).close()


def test_a_rate_is_told_from_the_second_look_on(clock: Clock) -> None:
    pace = Pace(clock)
    assert pace.rates({"a": 100}) is None
    clock.pass_(seconds=10)
    assert pace.rates({"a": 150, "b": 20}) == {"a": 5.0, "b": 2.0}
    clock.pass_(minutes=20)
    assert pace.rates({"a": 150}) is None


def test_each_stream_says_what_it_brought(tmp_path: Path) -> None:
    with closing(Sqlite(tmp_path)) as store:
        store.commit(outcomes(60))
        found = store.reader.flows()
    assert sum(flow.records for flow in found.values()) > 0
    assert any(flow.heard is not None for flow in found.values())


def test_a_role_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match=re.escape('no role "root"')):
        chosen(["root *"])


@pytest.mark.parametrize(("systems", "told"), [((), True), (("toys",), False)], ids=["all systems", "one system"])
def test_what_is_wrong_with_the_deployment_is_told_to_who_sees_all_of_it(
    tmp_path: Path, clock: Clock, systems: tuple[str, ...], told: bool
) -> None:
    with closing(Sqlite(tmp_path)) as store, closing(Connections(tmp_path / "store.sqlite")) as connections:
        made = desk(tmp_path, clock)
        records = Records(lambda: store.reader, *answering(connections, clock), UTC, problems=lambda: ["the disk is full <b>"])
        ask = Asking(made, application(tuple, rooms=routes(house(records, made, clock))), clock)
        text = ask("/sources", authorization=bearer(made, "viewer", *systems)).text
        made.keep.close()
    assert ("the disk is full &lt;b&gt;" in text) is told


class Carried(SqliteReader):
    """A store that workers fill, one of whom said nothing for a while."""

    def backlogs(self) -> Sequence[Backlog]:
        raw = Backlog("classify", "xmsec.raw.toys.a", 0, 17, NOON, "toys.a")
        return [raw, Backlog("detect", "xmsec.events", 3, 1_234, NOON - timedelta(seconds=31))]


def test_what_workers_have_not_carried_is_shown_with_its_moment(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir()
    with closing(Sqlite(tmp_path / "elsewhere")) as store, rooms(tmp_path, lambda: Carried(store.connection), clock) as room:
        store.commit(outcomes(60))
        ask = Asking(room[0], application(tuple, rooms=room[1]), clock)
        whole, one = (ask("/sources", authorization=bearer(room[0], "viewer", *systems)).text for systems in ((), ("toys",)))
    assert "xmsec.raw.toys.a" in whole
    assert whole.index("xmsec.events") < whole.index("1,234") < whole.index("已久未上报") < whole.index("xmsec.raw.toys.a")
    assert ("not-json" in one, ">17<" in one, "xmsec.events" in one) == (True, True, False)


def test_where_workers_carry_records_the_page_of_dead_letters_says_where_they_are(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "elsewhere").mkdir()
    with closing(Sqlite(tmp_path / "elsewhere")) as store, rooms(tmp_path, lambda: store.reader, clock) as (made, known):
        answer = Asking(made, application(tuple, rooms=known), clock)("/sources/dead", authorization=bearer(made))
    assert (answer.status, "xmsec dead list" in answer.text) == (200, True)
