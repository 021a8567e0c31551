"""Workers' recordings are read back as the frames were, wherever a worker was killed and whoever wrote a frame twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xmsec.model.errors import ConfigError, InputError
from xmsec.model.types import Event, Position, Revisions, Tick
from xmsec.store.archive import Archive
from xmsec.store.columns import Row
from xmsec.store.merged import read_archive
from xmsec.store.recorder import Origin, Recorder
from xmsec.store.sealed import received_of

START = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
KEY = "aaaa"
MADE_UNDER = Revisions("c", 1)
Frame = tuple[int, int, list[Row]]  # partition, offset, rows
few = settings(max_examples=60, deadline=None)


def event(source: int, number: int, minute: float) -> Row:
    at = START + timedelta(minutes=minute)
    position = Position("city.web", str(source), number)
    return Event(f"{source}-{number}", at, at, position, "city", "city.web", {"user.id": "u"}), ()


@st.composite
def topics(draw: st.DrawFn) -> list[Frame]:
    """Frames of two partitions with two sources each; a source's records are received one after the other."""
    made: list[Frame] = []
    offsets = [0, 0]
    for number, source in enumerate(draw(st.lists(st.integers(0, 3), max_size=14))):
        rows: list[Row] = [event(source, 3 * number + place, 10.0 * number + place) for place in range(draw(st.integers(1, 3)))]
        if draw(st.booleans()):
            rows.append(Tick("city.web", str(source), received_of(rows[-1]), "idle"))
        made.append((source % 2, offsets[source % 2], rows))
        offsets[source % 2] += 1
    return made


def recorder(folder: Path, topic_id: str = "0123456789", seal_bytes: int = 1 << 20) -> Recorder:
    return Recorder(Archive(str(folder)), Origin(topic_id, KEY, [("city.web", "0")]), seal_bytes)


def write(worker: Recorder, frames: list[Frame], until: int | None = None) -> None:
    """Take in frames as the hop does, and seal all but the first `until` files' worth (None: all)."""
    for partition, offset, rows in frames:
        if worker.known(partition, offset):
            if partition in worker.parts:
                worker.written(*worker.seal(partition))
            continue
        if worker.ripe(partition, received_of(rows[0])):
            worker.written(*worker.seal(partition))
        worker.add(partition, offset, rows, MADE_UNDER, 0.0)
    for partition in list(worker.parts)[:until]:
        worker.written(*worker.seal(partition))


def back(folder: Path, key_check: str = KEY) -> list[Row]:
    rows = (row for batch in read_archive(Archive(str(folder)), key_check) for row in batch)
    return [row for row in rows if not (isinstance(row, Tick) and row.state == "open")]


def by_source(rows: Iterator[Row] | list[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault(row.source if isinstance(row, Tick) else row[0].position.source, []).append(row)
    return found


@few
@given(topics(), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 2)), max_size=4), st.sampled_from([1, 1 << 20]))
def test_killed_anywhere_each_frame_is_there_once_and_each_source_in_its_order(
    frames: list[Frame], kills: list[tuple[int, int]], seal_bytes: int
) -> None:
    """Every worker begins with the first frame again: what was committed is at most what a file has."""
    with TemporaryDirectory() as name:
        for reached, sealed in kills:
            write(recorder(Path(name), seal_bytes=seal_bytes), frames[:reached], sealed)
        write(recorder(Path(name)), frames)
        assert by_source(back(Path(name))) == by_source(row for _, _, rows in frames for row in rows)


@few
@given(topics(), st.integers(0, 14), st.integers(0, 14))
def test_a_worker_that_was_cut_off_and_writes_on_adds_nothing(frames: list[Frame], first: int, second: int) -> None:
    with TemporaryDirectory() as name:
        lost, heir = recorder(Path(name)), recorder(Path(name))
        for worker in (lost, heir):  # both have looked what is there before either writes
            worker.known(0, 0)
        write(lost, frames[: max(first, second)])
        write(heir, frames[: min(first, second)])
        write(recorder(Path(name)), frames)
        assert by_source(back(Path(name))) == by_source(row for _, _, rows in frames for row in rows)


@few
@given(topics())
def test_threads_are_merged_by_the_moment_of_receiving(frames: list[Frame]) -> None:
    with TemporaryDirectory() as name:
        write(recorder(Path(name)), frames)
        moments = [received_of(row) for row in back(Path(name))]
        assert moments == sorted(moments)


def test_every_source_that_takes_part_is_waited_for_from_the_first_row_on(tmp_path: Path) -> None:
    sources = [("city.web", "0"), ("city.web", "9")]
    worker = Recorder(Archive(str(tmp_path)), Origin("0123456789", KEY, sources))
    write(worker, [(0, 0, [event(0, 1, 1)]), (1, 0, [event(1, 1, 2)])])
    rows = [row for batch in read_archive(Archive(str(tmp_path)), KEY) for row in batch]
    assert [row.source for row in rows[:2] if isinstance(row, Tick) and row.state == "open"] == sources
    assert len(rows) == 4


def test_a_topic_made_anew_has_its_offsets_again(tmp_path: Path) -> None:
    write(recorder(tmp_path, "0123456789"), [(0, 0, [event(0, 1, 1)])])
    write(recorder(tmp_path, "abcdef0123"), [(0, 0, [event(0, 2, 2)])])
    assert [row[0].id for row in back(tmp_path) if not isinstance(row, Tick)] == ["0-1", "0-2"]


def test_a_file_is_named_after_its_frames_and_lies_by_its_hour(tmp_path: Path) -> None:
    write(recorder(tmp_path), [(3, 7, [event(0, 1, 5)]), (3, 8, [event(0, 2, 29)]), (3, 9, [event(0, 3, 30)])])
    found = [one.path for one in Archive(str(tmp_path)).files()]
    assert found == [
        "date=2026-03-02/hour=23/01234567-00003-000000000007-000000000008.parquet",
        "date=2026-03-03/hour=00/01234567-00003-000000000009-000000000009.parquet",
    ]
    assert pq.read_metadata(tmp_path / found[0]).metadata[b"xmsec.key_check"] == KEY.encode()


def test_a_part_that_has_waited_long_enough_is_old(tmp_path: Path) -> None:
    worker = recorder(tmp_path)
    worker.add(0, 0, [event(0, 1, 1)], MADE_UNDER, 100.0)
    worker.add(0, 1, [event(0, 2, 1)], MADE_UNDER, 900.0)
    assert (worker.old(999.0), worker.old(1_000.0)) == ([], [0])


def test_another_key_is_refused_by_name(tmp_path: Path) -> None:
    write(recorder(tmp_path), [(0, 0, [event(0, 1, 1)])])
    with pytest.raises(ConfigError, match="check value aaaa"):
        Recorder(Archive(str(tmp_path)), Origin("0123456789", "bbbb"))
    with pytest.raises(ConfigError, match="check value aaaa"):
        back(tmp_path, "bbbb")


def test_half_a_file_is_named(tmp_path: Path) -> None:
    write(recorder(tmp_path), [(0, 0, [event(0, 1, 1)])])
    path = tmp_path / Archive(str(tmp_path)).files()[0].path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged-recording; date=2026"):
        back(tmp_path)


@pytest.mark.parametrize("place", ["gopher://name:secret@a/b", "s3://"], ids=["no such scheme", "no bucket"])
def test_a_place_that_cannot_be_understood_is_named(place: str) -> None:
    with pytest.raises(ConfigError, match="no place for recordings") as caught:
        Archive(place)
    assert "secret" not in str(caught.value)
