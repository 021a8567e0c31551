"""What the embedded store does beside the Store seam."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import msgspec
import pytest
from tests.contract.every_store import CODECS, SOURCES, outcomes

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Held, Outcome, Query
from xmsec.model.types import Act, Clock, Key, Position, Rejected, Revisions
from xmsec.store.acts import SqliteActs
from xmsec.store.figures import dead_totals
from xmsec.store.lock import HomeLock
from xmsec.store.migrate import versions
from xmsec.store.read import SqliteReader
from xmsec.store.sqlite import DEAD_ROWS, SqliteStore, connect
from xmsec.store.states import SqliteStates

NOW = datetime(2026, 3, 2, tzinfo=UTC)
MADE = outcomes(60)


def nothing(offset: int, **more: object) -> Outcome:
    """An outcome that only moves a clock."""
    empty = Outcome(
        passed=(),
        findings=(),
        incidents=(),
        intents=(),
        rejected=(),
        counts={},
        proposals={},
        clocks={("s", "p"): Clock(offset=offset)},
        states={},
        watermark=None,
        revisions=Revisions("c", 1),
    )
    return msgspec.structs.replace(empty, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    made = SqliteStore(tmp_path / "store.sqlite", {**CODECS, "d": int})
    yield made
    made.close()


def reader(store: SqliteStore) -> SqliteReader:
    return SqliteReader(store.connection)


def test_a_scan_of_the_same_files_finds_its_findings_again(store: SqliteStore) -> None:
    store.commit(MADE, scan=SOURCES)
    told = list(reader(store).told(SOURCES))
    assert told
    assert [row["id"] for row in told] == [row["id"] for row in sorted(told, key=lambda row: (row["time"], row["id"]))]
    assert list(reader(store).told(SOURCES[:1])) == told
    assert list(reader(store).told([("toys.a", "another file")])) == []


def test_dead_letters_are_capped_and_counted_exactly(store: SqliteStore) -> None:
    for part in range(3):
        rejected = [
            Rejected(Position("s", "p", offset), "parse", "no-match", NOW) for offset in range(part * 600, part * 600 + 600)
        ]
        store.commit([nothing(part * 600 + 599, rejected=rejected)])
    assert dead_totals(store.connection) == {("s", "parse", "no-match"): 1800}
    assert reader(store).count(Query("dead"), ("reason",)) == {("no-match",): DEAD_ROWS}


def test_a_damaged_input_is_counted_once_however_often_it_is_scanned(store: SqliteStore) -> None:
    problem = Rejected(Position("s", "p", 100), "source", "gzip-truncated", NOW)
    assert [store.reject([problem]) for _ in range(3)] == [1, 0, 0]
    assert store.counts() == {("rejected", "s", "source:gzip-truncated"): 1}


def test_what_people_say_outlives_what_the_engine_tells_again(store: SqliteStore) -> None:
    store.commit(MADE[:-1])
    (first, second, *_) = reader(store).page(Query("incidents", limit=2)).rows
    said = Act(id="a", kind="status", incident=first["id"], by="li", at=NOW, status="acknowledged", assignee="wang")
    SqliteActs(lambda: store.connection).put(said)
    store.commit([msgspec.structs.replace(MADE[-1], incidents=[*MADE[-1].incidents])])
    rows = {row["id"]: row for row in reader(store).page(Query("incidents")).rows}
    assert (rows[first["id"]]["status"], rows[first["id"]]["assignee"]) == ("acknowledged", "wang")
    assert rows[second["id"]]["status"] == "new"
    of_first = reader(store).count(Query("findings", {"incident": (first["id"],)}), ("status",))
    assert list(of_first) == [("acknowledged",)]


def test_incidents_of_one_entity_name_each_other(store: SqliteStore) -> None:
    (incident, *_) = [one for outcome in MADE for one in outcome.incidents]
    other = msgspec.structs.replace(incident, id="f" * 32, opened=incident.opened + timedelta(days=1))
    store.commit([nothing(1, incidents=[incident, other])])
    rows = {row["id"]: row["related"] for row in reader(store).page(Query("incidents")).rows}
    assert rows == {incident.id: [other.id], other.id: [incident.id]}


def test_commits_have_no_say_in_which_findings_an_incident_names(store: SqliteStore) -> None:
    (incident, *_) = [one for outcome in MADE for one in outcome.incidents]
    for offset, named in enumerate([("b", "c"), ("a", "b")]):  # the third, with the least id, leaves no place for the last
        store.commit([nothing(offset, incidents=[msgspec.structs.replace(incident, findings=named)])])
    assert store.connection.execute("SELECT finding FROM incident_findings ORDER BY finding").fetchall() == [("a",), ("b",)]


def test_another_key_is_refused_by_name(store: SqliteStore) -> None:
    store.claim("aaaa")
    store.claim("aaaa")
    with pytest.raises(ConfigError, match="check value aaaa, this key's is bbbb"):
        store.claim("bbbb")


def test_a_newer_database_is_refused_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    newest = versions()[-1][0]
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newest + 1}")
    connection.close()
    with pytest.raises(ConfigError, match=f"store version {newest + 1}, this one knows {newest}") as caught:
        connect(path)
    assert "\n" not in str(caught.value)


def test_an_older_database_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    number, statements = versions()[0]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(f"{statements}; PRAGMA user_version = {number}; INSERT INTO meta VALUES ('a', 'b')")
    connection.close()
    with_all = connect(path)
    assert with_all.execute("PRAGMA user_version").fetchone() == (versions()[-1][0],)
    assert with_all.execute("SELECT * FROM meta").fetchall() == [("a", "b")]
    with_all.close()


def test_versions_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in versions()] == list(range(1, len(versions()) + 1))


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)
    with pytest.raises(ConfigError, match="cannot be opened"):
        connect(path)


def test_a_failed_transaction_leaves_nothing(store: SqliteStore) -> None:
    with suppress(ZeroDivisionError), store.transaction() as connection:
        connection.execute("INSERT INTO meta VALUES ('a', 'b')")
        raise ZeroDivisionError
    assert store.meta() == {}


def test_a_second_writer_is_told_so_at_once(tmp_path: Path) -> None:
    tries = f"from pathlib import Path\nfrom xmsec.store.lock import HomeLock\nHomeLock(Path({str(tmp_path)!r}))"
    with HomeLock(tmp_path):
        beside = subprocess.run([sys.executable, "-c", tries], capture_output=True, text=True, check=False)
    assert "another xmsec is writing here" in beside.stderr
    assert subprocess.run([sys.executable, "-c", tries], capture_output=True, check=False).returncode == 0


def key(number: int) -> Key:
    return Key("subject", f"{number:032x}")


def test_more_states_than_the_cache_holds_are_all_found(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite", {"d": int})
    store.commit([nothing(1, states={("d", key(number)): Held(number, None) for number in range(500)})])
    view = SqliteStates(store.connection, {"d": int}, cached=20)
    for number in [*range(500), 3, 499, 250]:
        assert view.get("d", key(number)) == Held(number, None)
    assert view.get("d", key(500)) is None
    store.close()


def test_states_of_a_detector_that_left_the_content_are_left_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite", {"d": int, "gone": int})
    store.commit([nothing(1, states={(owner, key(1)): Held(1, NOW) for owner in ("d", "gone")})])
    view = SqliteStates(store.connection, {"d": int})
    assert list(view.due(NOW)) == [("d", key(1))]
    assert view.get("gone", key(1)) is None
    store.close()


def test_a_state_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite", {"d": int})
    store.commit([nothing(1, states={("d", key(1)): Held(1, NOW)})])
    with pytest.raises(ConfigError, match="another version"):
        SqliteStates(store.connection, {"d": str}).get("d", key(1))
    store.close()


def test_of_many_processes_that_open_an_older_store_at_once_none_fails(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        for number, script in versions()[:7]:
            old.executescript(f"{script}\nPRAGMA user_version = {number};")
    start = Barrier(4)

    def opened(_: int) -> int:
        start.wait()
        with closing(connect(path)) as connection:  # each as a process of its own would
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    with ThreadPoolExecutor(4) as threads:
        assert {*threads.map(opened, range(4))} == {versions()[-1][0]}
