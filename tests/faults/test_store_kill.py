"""A process that commits is killed with SIGKILL at some moment, again and again; store and recording agree, and go on."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from xmsec.store.recording import ENTRY, read
from xmsec.store.sqlite import SqliteStore

pytestmark = pytest.mark.faults
ROWS = 20

CHILD = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xmsec.model.ports import Held, Outcome
from xmsec.model.types import Clock, Context, Event, Key, Position, Revisions
from xmsec.store.recording import ENTRY, Recording
from xmsec.store.sqlite import SqliteStore

home, rows = Path(sys.argv[1]), int(sys.argv[2])
store = SqliteStore(home / "store.sqlite", {"d": int})
recording = Recording(home / "recordings", store.meta().get(ENTRY), seal_bytes=30_000)
now = datetime(2026, 3, 2, tzinfo=UTC)
position = store.positions("s").get("p", Position("s", "p", -1))
for offset in range(position.offset + rows, 1_000_000, rows):
    events = [Event(str(at), now, now, Position("s", "p", at), "s", "s", {}) for at in range(offset - rows + 1, offset + 1)]
    held = store.states().get("d", Key("user", "sum"))
    states = {
        ("d", Key("user", "sum")): Held((held.state if held else 0) + rows, None),
        ("d", Key("subject", str(offset))): Held(offset, now + timedelta(hours=1)),
    }
    outcome = Outcome(
        passed=[Context(event) for event in events], findings=(), incidents=(), intents=(), rejected=(),
        counts={("parsed", "s", ""): rows}, proposals={}, clocks={("s", "p"): Clock(offset=offset)}, states=states,
        watermark=None, revisions=Revisions("c", 1),
    )
    store.states().absorb(outcome.states, outcome.clocks)
    store.commit([outcome], meta=recording.append([outcome]))
    print(offset, flush=True)
"""


def test_store_and_recording_agree_after_every_kill(tmp_path: Path) -> None:
    seen = -1
    for life in range(6):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(ROWS)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        deadline = time.monotonic() + 60
        for _ in range(7 + 5 * life):
            seen = int(child.stdout.readline())
            assert time.monotonic() < deadline
        child.kill()
        child.communicate()
        with closing(SqliteStore(tmp_path / "store.sqlite", {"d": int})) as store:
            reached = store.positions("s")["p"].offset
            assert reached >= seen  # what was said to be committed is there
            assert store.counts() == {("parsed", "s", ""): reached + 1}
            assert store.connection.execute("SELECT count(*) FROM states").fetchone() == ((reached + 1) // ROWS + 1,)
            rows = [row for batch in read(tmp_path / "recordings", store.meta()[ENTRY]) for row in batch]
        assert [row[0].position.offset for row in rows if isinstance(row, tuple)] == list(range(reached + 1))
    assert list((tmp_path / "recordings").glob("*.parquet"))
