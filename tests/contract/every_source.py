"""The sources that `test_every_source.py` tries: each is given a text and says it back as records."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from xmsec.model.types import Position, Raw, Tick
from xmsec.sources.file import FileSource
from xmsec.sources.tail import Tail

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
STREAM = "city.web"

Read = Callable[[Path, bytes, Mapping[str, Position]], Iterator[Sequence[Raw | Tick]]]


def plain(folder: Path, text: bytes, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
    """Read a plain file."""
    path = folder / "access.log"
    path.write_bytes(text)
    return FileSource(STREAM, [str(path)], lambda: NOW).read(after)


def gzipped(folder: Path, text: bytes, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
    """Read a gzip file of two members with padding."""
    path = folder / "access.log.1.gz"
    half = len(text) // 2
    path.write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:]) + bytes(512))
    return FileSource(STREAM, [str(path)], lambda: NOW).read(after)


def zstandard(folder: Path, text: bytes, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
    """Read a zstd file."""
    path = folder / "access.log.2.zst"
    path.write_bytes(pa.Codec("zstd").compress(text, asbytes=True))
    return FileSource(STREAM, [str(path)], lambda: NOW).read(after)


def piped(folder: Path, text: bytes, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
    """Read standard input."""
    return FileSource(STREAM, ["-"], lambda: NOW, stdin=io.BytesIO(text)).read(after)


def tailed(folder: Path, text: bytes, after: Mapping[str, Position]) -> Iterator[Sequence[Raw | Tick]]:
    """Follow a file until it is taken away."""
    path = folder / "access.log"
    path.write_bytes(text)
    tail = Tail(STREAM, [str(folder / "*.log")], timedelta(seconds=10), after)
    now = NOW
    while batch := tail.poll(now):
        yield batch
    path.unlink()
    for _ in range(3):
        now += timedelta(seconds=10)
        yield tail.poll(now)


def every_source() -> list[Read]:
    """Return each way to read a text."""
    return [plain, gzipped, zstandard, piped, tailed]
