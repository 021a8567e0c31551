"""Lines out of chunks of bytes: the same lines at the same offsets, however the bytes were cut into chunks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

LINE_BYTES = 1 << 20  # longer lines are cut here: no log format of ours comes near, and memory stays bounded

Found = tuple[int, bytes, bool]  # offset of the line's first byte, the line without its end, whether it was cut


class Lines:
    r"""Cuts bytes into lines that end in LF or CRLF; holds at most one unfinished line of LINE_BYTES.

    >>> lines = Lines()
    >>> lines.feed(b"one\r\ntw"), lines.feed(b"o\nthree"), lines.end()
    ([(0, b'one', False)], [(5, b'two', False)], [(9, b'three', False)])
    """

    def __init__(self, offset: int = 0) -> None:
        self._start = offset  # of the unfinished line
        self._kept = b""  # its first bytes, up to one more than the limit and a carriage return
        self._dropped_bytes = 0

    @property
    def reached(self) -> int:
        """Where the unfinished line begins: everything before it was given."""
        return self._start

    @property
    def pending(self) -> bool:
        """Whether there is an unfinished line."""
        return bool(self._kept)

    def feed(self, chunk: bytes) -> Sequence[Found]:
        """Take the next bytes; return the lines that they finish."""
        pieces = chunk.split(b"\n")
        last = pieces.pop()
        if not pieces:
            self._keep(last)
            return []
        self._keep(pieces[0])
        first, dropped_bytes = self._kept, self._dropped_bytes
        pieces[0] = first
        offsets = list(accumulate([len(piece) + 1 for piece in pieces], initial=self._start))
        self._start, self._kept, self._dropped_bytes = offsets.pop() + dropped_bytes, b"", 0
        if dropped_bytes:
            offsets[1:] = [offset + dropped_bytes for offset in offsets[1:]]
        self._keep(last)
        if b"\r" in chunk or first.endswith(b"\r"):
            pieces = [piece[:-1] if piece.endswith(b"\r") else piece for piece in pieces]
        if len(chunk) + len(first) <= LINE_BYTES:
            return [(offset, piece, False) for offset, piece in zip(offsets, pieces, strict=True)]
        return [(offset, piece[:LINE_BYTES], len(piece) > LINE_BYTES) for offset, piece in zip(offsets, pieces, strict=True)]

    def settle(self) -> Sequence[Found]:
        """Return nothing: a line waits for nothing but its end."""
        return ()

    def end(self) -> Sequence[Found]:
        """Return the unfinished line, for an input that ended without a line end."""
        if not self._kept:
            return []
        found, start = self._kept, self._start
        self._start += len(found) + self._dropped_bytes
        self._kept, self._dropped_bytes = b"", 0
        found = found.removesuffix(b"\r")
        return [(start, found[:LINE_BYTES], len(found) > LINE_BYTES)]

    def _keep(self, piece: bytes) -> None:
        room = LINE_BYTES + 2 - len(self._kept)
        self._kept += piece[:room]
        self._dropped_bytes += max(len(piece) - room, 0)
