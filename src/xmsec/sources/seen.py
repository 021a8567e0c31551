"""What a repetition is known by: keyed hashes of producers' ids, the newest of them, in memory and on disk.

A mark stands in the journal's frame of its records until that is removed; before, it comes here. Nobody without the key can
tell from a mark which id it is of.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

MARK_BYTES = 16
KEPT = 100_000  # of the newest at least so many, at most twice as many: some 20 MB


def mark(key: bytes, stream: str, kind: str, given: str) -> bytes:
    """Return what an id of a stream is known by. kind: of a record, or of a request."""
    text = "\0".join((stream, kind, given)).encode("utf-8", "surrogatepass")
    return blake2b(text, key=key[:64], digest_size=MARK_BYTES).digest()


class Seen:
    """The marks of what arrived. kept: of the newest at least so many."""

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._new, self._old = folder / "seen", folder / "seen.old"
        self._kept = kept
        self._young, self._aged = _read(self._new), _read(self._old)

    def __contains__(self, one: bytes) -> bool:
        return one in self._young or one in self._aged

    def add(self, marks: Iterable[bytes]) -> None:
        """Know them from now on; their frames lie in the journal."""
        self._young.update(marks)
        if len(self._young) >= self._kept:
            self._aged, self._young = self._young, set()

    def write(self, marks: Iterable[bytes]) -> None:
        """Keep marks whose frames are about to be removed, safe against a power cut."""
        written = b"".join(marks)
        if not written:
            return
        descriptor = os.open(self._new, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // MARK_BYTES * MARK_BYTES)  # a crash may have cut one
            os.write(descriptor, written)
            os.fsync(descriptor)
            full = os.fstat(descriptor).st_size >= self._kept * MARK_BYTES
        finally:
            os.close(descriptor)
        if full:
            self._new.replace(self._old)


def _read(path: Path) -> set[bytes]:
    """Return a file's marks; of one that was cut short by a crash the last is left out."""
    held = path.read_bytes() if path.exists() else b""
    return {held[at : at + MARK_BYTES] for at in range(0, len(held) - MARK_BYTES + 1, MARK_BYTES)}
