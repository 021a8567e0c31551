"""The stored record of playbook runs: whatever is done to it in the database is seen, and where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from xmsec.model.errors import PolicyError
from xmsec.respond.chain import Verdict
from xmsec.store.runs import Runs
from xmsec.store.sqlite import SqliteStore

NOW = datetime(2026, 10, 20, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with a run of three entries."""
    opened = SqliteStore(tmp_path / "store.sqlite", {})
    runs = Runs(lambda: opened.connection, lambda: NOW)
    runs.append("r1", "started", "", {"playbook": "p", "incident": "i"}, "li")
    runs.append("r1", "approved", "s1", {"command": "0"}, "li")
    runs.append("r1", "applied", "s1", {"command": "0"}, "li")
    yield opened
    opened.close()


def test_an_untouched_record_is_whole(store: SqliteStore) -> None:
    assert Runs(lambda: store.connection, lambda: NOW).verify() == Verdict(3)


@pytest.mark.parametrize(
    ("tampering", "verdict"),
    [
        ("UPDATE chain SET by = 'another' WHERE number = 2", (3, 2)),
        ("UPDATE chain SET body = 'no JSON' WHERE number = 1", (3, 1)),
        ("UPDATE chain SET body = '[]' WHERE number = 3", (3, 3)),
        ("DELETE FROM chain WHERE number = 2", (2, 2)),
        ("DELETE FROM chain WHERE number = 3", (2, 3)),
        ("DELETE FROM chain", (0, 1)),
        ("INSERT INTO chain SELECT 4, run, kind, step, body, by, at, hash FROM chain WHERE number = 3", (4, 4)),
    ],
    ids=["a name", "no JSON", "a list", "the middle", "the end", "all", "one more"],
)
def test_tampering_is_seen_where_it_was_done(store: SqliteStore, tampering: str, verdict: tuple[int, int]) -> None:
    store.connection.execute(tampering)
    assert Runs(lambda: store.connection, lambda: NOW).verify() == Verdict(*verdict)


def test_nothing_is_recorded_behind_an_end_that_was_cut_off(store: SqliteStore) -> None:
    store.connection.execute("DELETE FROM chain WHERE number = 3")
    with pytest.raises(PolicyError, match="altered"):
        Runs(lambda: store.connection, lambda: NOW).append("r1", "applied", "s1", {"command": "0"}, "li")
    assert Runs(lambda: store.connection, lambda: NOW).verify() == Verdict(2, 3)
