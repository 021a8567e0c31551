"""A journal of what came over the network and is not committed yet: written and synced before anybody is told that it arrived.

Like a raw topic: frames in their order, each one stream's records that came together; a record's position is its frame's byte
and its place in the frame. It holds raw values, so its files are for their owner alone and are removed once their records are
committed. A frame is whole or not there: a torn end was never promised to anybody and is left out.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from zlib import crc32

import msgspec

PARTITION = "net"  # of every record that came over the network: one a stream
_HEAD = struct.Struct("<II")  # length and CRC-32 of what follows
_SUFFIX = ".raw"


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Records of one stream that came together.

    ids: producers' own, by place, when there are any; cut: places of over-long ones; marks: what a repetition is known by.
    """

    stream: str
    received: datetime
    lines: tuple[bytes, ...]
    ids: tuple[str | None, ...] = ()
    cut: tuple[int, ...] = ()
    marks: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        return f"Entry({self.stream}, {len(self.lines)} records)"


class Segment(msgspec.Struct):
    """One file of the journal: frames from `start` on, `length` bytes of them whole and synced."""

    path: Path
    start: int
    length: int = 0

    @property
    def end(self) -> int:
        """The byte behind its last frame."""
        return self.start + self.length


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def frame_of(entry: Entry) -> bytes:
    """Write an entry as a frame."""
    body = _encode(entry)
    return _HEAD.pack(len(body), crc32(body)) + body


def frames(path: Path, skip_bytes: int = 0, limit_bytes: int | None = None) -> Iterator[tuple[int, int, Entry]]:
    """Yield the whole frames of a file, each with its first byte and the byte behind it."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size if limit_bytes is None else limit_bytes
        at = file.seek(skip_bytes)
        while at + _HEAD.size <= size:
            length, check = _HEAD.unpack(file.read(_HEAD.size))
            end = at + _HEAD.size + length
            if end > size or crc32(body := file.read(length)) != check:
                return
            yield at, end, _decode(body)
            at = end


class Spool:
    """The journal's folder. One thread appends, one reads and settles.

    start: a byte behind every position that was committed, for offsets that only ever grow. What lies there from an earlier
    life is read first. stale_before: files last written before it are removed unread, and `stale` says how many records of
    which stream that were; `damaged`: from where a file could not be read on; `marks`: of what lies there.
    """

    def __init__(self, folder: Path, start: int, stale_before: datetime | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder, self._lock, self._writing = folder, Lock(), Lock()
        self._segments: deque[Segment] = deque()
        self._open: int | None = None  # descriptor of the last segment while frames are appended to it
        self.stale: dict[str, int] = {}
        self.damaged: list[int] = []
        self.marks: list[bytes] = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            self._recover(path, stale_before)
        self._end = max(start, self._segments[-1].end if self._segments else 0)
        self._at = self._segments[0].start if self._segments else self._end

    def _recover(self, path: Path, stale_before: datetime | None) -> None:
        status = path.stat()
        segment = Segment(path, int(path.stem, 16))
        stale = stale_before is not None and datetime.fromtimestamp(status.st_mtime, UTC) < stale_before
        for _, end, entry in frames(path):
            segment.length = end
            if stale:
                self.stale[entry.stream] = self.stale.get(entry.stream, 0) + len(entry.lines)
            else:
                self.marks += entry.marks
        if segment.length < status.st_size:
            self.damaged.append(segment.end)
        if stale or not segment.length:
            path.unlink()
        else:
            self._segments.append(segment)

    @property
    def held_bytes(self) -> int:
        """How much lies there, committed or not."""
        with self._lock:
            return sum(segment.length for segment in self._segments)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, safe against a power cut when this returns. Raises OSError; then none of them is there."""
        written = b"".join(map(frame_of, entries))
        with self._writing:
            if self._open is None:
                self._open = self._begin()
            segment = self._segments[-1]
            try:
                _write(self._open, written)
                os.fdatasync(self._open)
            except OSError:
                self._give_up(self._open, segment)
                raise
            with self._lock:
                segment.length += len(written)
                self._end = segment.end

    def _give_up(self, descriptor: int, segment: Segment) -> None:
        """Cut off what was half written; even if that fails, nothing is ever written behind it."""
        with suppress(OSError):
            os.ftruncate(descriptor, segment.length)
        os.close(descriptor)
        self._open = None
        if not segment.length:
            with self._lock:
                self._segments.pop()

    def _begin(self) -> int:
        path = self._folder / f"{self._end:016x}{_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
        _sync(self._folder)
        with self._lock:
            self._segments.append(Segment(path, self._end))
        return descriptor

    def read(self) -> Iterator[tuple[int, int, Entry]]:
        """Yield the frames that were not read yet, each with its offset and the one behind it."""
        while True:
            with self._lock:
                found = next(((one, one.length) for one in self._segments if one.end > self._at), None)
            if found is None:
                return
            segment, length = found
            for at, end, entry in frames(segment.path, max(self._at - segment.start, 0), length):
                self._at = segment.start + end
                yield segment.start + at, self._at, entry

    def settle(self, upto: int) -> None:
        """Remove what is committed: every file whose frames all end at or before `upto`; what follows goes into a new one."""
        with self._writing:  # what is being written has no place yet
            if self._open is not None and self._segments[-1].start < upto:
                os.close(self._open)
                self._open = None
            with self._lock:
                while self._segments and self._segments[0].end <= upto and not (self._open and len(self._segments) == 1):
                    self._segments.popleft().path.unlink()

    def close(self) -> None:
        """Give the file back."""
        with self._writing:
            if self._open is not None:
                os.close(self._open)
                self._open = None


def _write(descriptor: int, written: bytes) -> None:
    view = memoryview(written)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
