"""Files as they come: renamed, grown, packed, damaged, alike, or no files at all."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from xmsec.model.errors import ConfigError
from xmsec.model.types import Position, Raw, Source, Tick
from xmsec.sources.file import BATCH_LINES, FileSource, merge
from xmsec.sources.lines import LINE_BYTES

NOW = datetime(2026, 3, 2, tzinfo=UTC)
WEB = "city.web"


def source(*paths: Path, stream: str = WEB) -> FileSource:
    return FileSource(stream, [str(path) for path in paths], lambda: NOW)


def raws(files: FileSource, after: Mapping[str, Position] | None = None) -> list[Raw]:
    return [record for batch in files.read(after or {}) for record in batch if isinstance(record, Raw)]


def last(found: Sequence[Raw]) -> dict[str, Position]:
    return {raw.position.partition: raw.position for raw in found}


def written(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return path


def numbered(start: int, end: int) -> bytes:
    return b"".join(b"%d GET /things\n" % number for number in range(start, end))


@pytest.mark.parametrize("first_lines", [1, 20, 500], ids=["under-a-kilobyte", "some", "over-a-kilobyte"])
def test_a_file_that_grew_and_was_renamed_goes_on_where_it_was(tmp_path: Path, first_lines: int) -> None:
    path = written(tmp_path / "access.log", numbered(0, first_lines))
    before = raws(source(path))
    with path.open("ab") as file:
        file.write(numbered(first_lines, 1000))
    renamed = path.rename(tmp_path / "access.log.1")
    rest = raws(source(renamed), last(before))
    assert b"".join(raw.line + b"\n" for raw in (*before, *rest)) == numbered(0, 1000)
    assert len({raw.position.partition for raw in (*before, *rest)}) == 1


def test_a_packed_copy_beside_its_file_is_read_once(tmp_path: Path) -> None:
    older = written(tmp_path / "a.gz", gzip.compress(numbered(0, 400)))
    newer = written(tmp_path / "b.log", numbered(0, 900))
    files = source(older, newer)
    assert [raw.line for raw in raws(files)] == numbered(0, 900).split(b"\n")[:-1]
    assert not files.twins


def test_two_files_that_begin_alike_are_told_apart_and_named(tmp_path: Path) -> None:
    head = b"# the same header\n" * 80
    one = written(tmp_path / "one.log", head + b"one\n")
    two = written(tmp_path / "two.log", head + b"two\n")
    files = source(one, two)
    found = raws(files)
    assert len(found) == 162
    assert len({raw.position for raw in found}) == 162
    assert files.twins == [(str(two), str(one))]
    assert raws(source(one, two), last(found)) == []
    assert raws(source(two, one), last(found)) == []


def test_a_stream_is_part_of_who_a_file_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.log", numbered(0, 3))
    assert {raw.position.partition for raw in raws(source(path))}.isdisjoint(
        {raw.position.partition for raw in raws(source(path, stream="city.other"))}
    )


def test_an_empty_file_brings_nothing_and_is_no_error(tmp_path: Path) -> None:
    assert list(source(written(tmp_path / "empty.log", b"")).read({})) == []


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        source(path).open({})
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value.what


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path) == "is a directory"


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe") == "is a FIFO"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing.log") == "cannot be read: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "secret.log", b"x\n")
    path.chmod(0)
    assert refused(path) == "cannot be read: Permission denied"


def cut_gzip() -> bytes:
    return gzip.compress(numbered(0, 5000))[:-2000]


def broken_gzip() -> bytes:
    packed = bytearray(gzip.compress(numbered(0, 5000)))
    packed[-6] ^= 0xFF  # in the checksum
    return bytes(packed)


def cut_zstd() -> bytes:
    lines = b"".join(b"%s\n" % zlib.crc32(b"%d" % number).to_bytes(4, "big").hex().encode() for number in range(60_000))
    packed: bytes = pa.Codec("zstd").compress(lines, asbytes=True)
    return packed[: len(packed) // 2]


@pytest.mark.parametrize(
    ("packed", "reason", "at_least"),
    [
        (cut_gzip(), "gzip-truncated", 2500),
        (broken_gzip(), "gzip-damaged", 5000),
        (gzip.compress(b"a\n") + b"trailing", "gzip-damaged", 1),
        (b"\x1f\x8b", "gzip-truncated", 0),
        (cut_zstd(), "zstd-truncated", 20_000),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 32, "zstd-damaged", 0),
    ],
    ids=["cut-gzip", "broken-gzip", "trailing-bytes", "gzip-header-alone", "cut-zstd", "zstd-of-nothing"],
)
def test_lines_before_a_damage_count(tmp_path: Path, packed: bytes, reason: str, at_least: int) -> None:
    files = source(written(tmp_path / "log.packed", packed))
    found = raws(files)
    assert len(found) >= at_least
    assert [(problem.leg, problem.reason) for problem in files.problems] == [("source", reason)]


def test_damaged_standard_input_is_said(tmp_path: Path) -> None:
    files = FileSource(WEB, ["-"], lambda: NOW, stdin=io.BytesIO(gzip.compress(numbered(0, 50))[:-30]))
    assert raws(files)
    assert [problem.reason for problem in files.problems] == ["gzip-truncated"]


def test_a_bomb_stops_and_the_lines_before_it_count(tmp_path: Path) -> None:
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(numbered(0, 1000))
    for _ in range(256):
        packed += packer.compress(bytes(1 << 20))
    files = source(written(tmp_path / "bomb.gz", packed + packer.flush()))
    made = raws(files)
    assert [raw.line for raw in made[:1000]] == numbered(0, 1000).split(b"\n")[:-1]
    assert [problem.reason for problem in files.problems] == ["decompression-ratio"]
    assert made[-1].cut
    assert len(made[-1].line) == LINE_BYTES


def test_files_advance_together_in_event_time(tmp_path: Path) -> None:
    many = 3 * BATCH_LINES
    early = written(tmp_path / "early.log", b"".join(b"%d early\n" % second for second in range(many)))
    late = written(tmp_path / "late.log", b"".join(b"%d late\n" % (second + BATCH_LINES) for second in range(many)))
    clocks: dict[Source, datetime] = {}
    order: list[str] = []
    for batch in merge(source(late, early).open({}), clocks.get):
        lines = [record for record in batch if isinstance(record, Raw)]
        if lines:
            order.append(lines[-1].line.split()[1].decode())
            clocks[lines[-1].position.source] = NOW + timedelta(seconds=int(lines[-1].line.split()[0]))
    assert order == ["late", "early", "early", "late", "early", "late"]


def test_all_partitions_open_before_the_first_record(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{number}.log", numbered(number, number + 5)) for number in range(4)]
    batches = list(source(*paths).read({}))
    assert [record.state for record in batches[0] if isinstance(record, Tick)] == ["open"] * 4
    assert sum(isinstance(record, Tick) for batch in batches[1:] for record in batch) == 4


def test_a_thousand_packed_files_are_read_in_step(tmp_path: Path) -> None:
    paths = [
        written(tmp_path / f"{number}.gz", gzip.compress(b"%d first\n%d second\n" % (number, number))) for number in range(1000)
    ]
    assert len(raws(source(*paths))) == 2000


def test_a_small_file_is_one_batch_that_ends_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.log", b"one\ntwo\n")
    (reading,) = source(path).open({})
    (batch,) = reading.batches()
    assert [item.state if isinstance(item, Tick) else item.line for item in batch] == [b"one", b"two", "ended"]
    assert reading.reached == 8
