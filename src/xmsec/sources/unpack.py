"""Bytes of a file as they were written: plain, gzip or zstd, told by the first bytes and not by the name."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from xmsec.model.errors import ConfigError, InputError

CHUNK_BYTES = 512 << 10  # some 2,500 lines of 200 bytes: a batch; larger brings no speed, only memory
RATIO_FREE_BYTES = 64 << 20  # a small file of equal lines may well shrink 1,000-fold
RATIO = 200  # beyond it after the free bytes: a bomb; logs reach 10 to 40
STDIN = "-"

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_BYTES = 64 << 10


class Readable(Protocol):
    """A stream of bytes that may return fewer than asked for, and none at its end."""

    def read(self, size: int = -1, /) -> bytes | None:
        """Return the next bytes."""
        ...


class Counting:
    """A stream that counts what it gave."""

    def __init__(self, stream: Readable, given_bytes: int = 0) -> None:
        self._read = getattr(stream, "read1", stream.read)  # a pipe gives what it has instead of waiting for a full chunk
        self.given_bytes = given_bytes

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """Return up to `size` bytes, none at the end."""
        found: bytes = self._read(size) or b""
        self.given_bytes += len(found)
        return found


def opened(path: str | Path) -> FileIO:
    """Open a regular file without ever waiting for a writer. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path), remedy="check path and permission") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return FileIO(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise ConfigError("is a directory", where=str(path), remedy="name its files, such as DIR/*.log")
    if stat.S_ISFIFO(mode):
        raise ConfigError("is a FIFO", where=str(path), remedy="pipe it in with -")
    raise ConfigError("is not a regular file", where=str(path), remedy="pipe it in with -")


def packed(head: bytes) -> bool:
    """Whether bytes that begin so are compressed."""
    return head.startswith((_GZIP, _ZSTD))


def unpack(stream: Counting, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Yield the decompressed bytes in chunks, then raise InputError where they are damaged or a bomb."""
    head = stream.read(4)
    while len(head) < 4 and (more := stream.read(4 - len(head))):
        head += more
    rest = _Again(stream, head)
    if head.startswith(_GZIP):
        yield from _guarded(_gunzip(rest, chunk_bytes), stream)
    elif head.startswith(_ZSTD):
        yield from _guarded(_unzstd(rest, chunk_bytes), stream)
    else:
        while found := rest.read(chunk_bytes):
            yield found


class _Again:
    """The counted stream with its first bytes put back."""

    closed = False

    def __init__(self, stream: Counting, head: bytes) -> None:
        self._stream, self._head = stream, head

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        found, self._head = self._head, b""
        return found + self._stream.read(max(size - len(found), 1))

    def close(self) -> None:
        pass


def _guarded(chunks: Iterator[bytes], stream: Counting) -> Iterator[bytes]:
    made_bytes = 0
    for chunk in chunks:
        made_bytes += len(chunk)
        if made_bytes > RATIO_FREE_BYTES and made_bytes > RATIO * stream.given_bytes:
            raise InputError("decompression-ratio", remedy=f"more than {RATIO} times its size: unpack it by hand")
        yield chunk


def _gunzip(stream: _Again, chunk_bytes: int) -> Iterator[bytes]:
    """Decompress members one after the other; zeros after the last are padding, other bytes are damage."""
    member = zlib.decompressobj(wbits=31)
    begun = False
    waiting = b""
    while True:
        if not waiting:
            waiting = stream.read(64 << 10)
            if not waiting:
                break
        if member.eof:
            waiting = waiting.lstrip(b"\0")
            if not waiting:
                continue
            member, begun = zlib.decompressobj(wbits=31), False
        before = member.copy()
        try:
            made = member.decompress(waiting, chunk_bytes)
        except zlib.error as error:
            yield _good_bytes(before, waiting)
            raise InputError("gzip-damaged") from error
        begun = True
        waiting = member.unused_data if member.eof else member.unconsumed_tail
        if made:
            yield made
    if begun and not member.eof:
        if made := member.flush():
            yield made
        raise InputError("gzip-truncated")


def _good_bytes(member: Any, packed: bytes) -> bytes:
    """Return what stands before a damage, byte by byte: a call that fails gives nothing of what it had decoded."""
    found = bytearray()
    try:
        for place in range(len(packed)):
            found += member.decompress(packed[place : place + 1])
    except zlib.error:
        pass
    return bytes(found)


def _unzstd(stream: _Again, chunk_bytes: int) -> Iterator[bytes]:
    """Decompress frames one after the other."""
    decoder = _zstd_decoder(stream)
    try:
        while found := decoder.read(min(chunk_bytes, _ZSTD_BYTES)):
            yield found
    except OSError as error:
        raise InputError("zstd-truncated" if "runcated" in str(error) else "zstd-damaged") from error


def last_of_zstd(path: Path, known_bytes: int) -> bytes:
    """Return what a damaged file holds after its first `known_bytes`: Arrow drops what a failing read had already decoded.

    So that stretch, at most 64 KiB, is read again byte by byte.
    """
    with opened(path) as stream:
        decoder = _zstd_decoder(_Again(Counting(stream), b""))
        found: list[bytes] = []
        try:
            while known_bytes > 0:
                known_bytes -= len(decoder.read(min(known_bytes, _ZSTD_BYTES)))
            while byte := decoder.read(1):
                found.append(byte)
        except OSError:
            pass
    return b"".join(found)


def _zstd_decoder(stream: _Again) -> Any:
    import pyarrow  # heavy, and only zstd needs it

    return pyarrow.CompressedInputStream(pyarrow.PythonFile(stream, "r"), "zstd")
