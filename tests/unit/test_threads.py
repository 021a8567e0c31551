"""Use of workers' files: a record counts once, though its frame was sent again, or two files hold it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.trails import MADE_UNDER

from xmsec.model.types import Event, Position, Span, Tick
from xmsec.store.archive import Archive
from xmsec.store.columns import Row
from xmsec.store.elastic_uses import Mark
from xmsec.store.recorder import Origin, Recorder
from xmsec.store.threads import used

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Frames = Sequence[tuple[int, Sequence[Row]]]


def row(offset: int, part: int = 0, partition: str = "0", given_id: str | None = None) -> tuple[Event, tuple[Span, ...]]:
    time = NOON + timedelta(minutes=offset)
    place = Position("a.web", partition, offset, part)
    return Event(f"e{place}", time, NOON, place, "a", "a.web", {"user.id": "lin"}, ("people",), given_id=given_id), ()


TICK = Tick("a.web", "0", NOON, "idle")


def written(archive: Archive, frames: Frames) -> None:
    """Write frames as one file."""
    recorder = Recorder(archive, Origin("0123456789", "aaaa"))
    for offset, rows in frames:
        recorder.add(0, offset, rows, MADE_UNDER, 0.0)
    recorder.written(*recorder.seal(0))


def counted(archive: Archive) -> int:
    """Sum all files of the thread, one after the other."""
    mark, total = Mark(), 0
    for file in archive.files():
        if file.last > mark.upto:
            uses, mark = used(archive, file, mark)
            total += sum(use.events for use in uses)
    return total


@pytest.mark.parametrize(
    ("files", "events"),
    [
        pytest.param([[(0, [row(0), row(1)]), (1, [row(2), TICK])]], 3, id="what a file holds"),
        pytest.param([[(0, [row(0)]), (1, [row(0), row(1)])]], 2, id="a record that was sent again in one file"),
        pytest.param([[(0, [row(0), row(1)])], [(1, [row(1), row(2)])]], 3, id="a record that was sent again in the next file"),
        pytest.param([[(0, [row(0)]), (1, [row(1)])], [(1, [row(1)]), (2, [row(2)])]], 3, id="a frame that two files hold"),
        pytest.param([[(0, [row(0), row(0, part=1)])], [(1, [row(0, part=2)])]], 3, id="records of one message"),
        pytest.param([[(0, [row(0), row(0, partition="1")])], [(1, [row(1)])]], 3, id="sources have places of their own"),
        pytest.param([[(0, [row(0, given_id="x"), row(1, given_id="x"), row(2)])]], 2, id="a producer's own id"),
        pytest.param([[(0, [TICK])]], 0, id="ticks alone"),
    ],
)
def test_a_record_counts_once(tmp_path: Path, files: Sequence[Frames], events: int) -> None:
    archive = Archive(str(tmp_path))
    for frames in files:
        written(archive, frames)
    assert counted(archive) == events
