r"""Messages out of the bytes of one connection, framed as RFC 6587 says: by their length, or by line ends.

Which of the two is told by the first bytes: `123 <` begins a message of 123 bytes, anything else is a line. Messages that are
too long are cut; what was cut off is skipped, not kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MESSAGE_BYTES = 64 << 10  # as much as a datagram holds; RFC 5425 wants 8 KiB of every receiver
LENGTH_DIGITS = 9

Message = tuple[bytes, bool]  # without its end, and whether it was cut

_COUNTED = re.compile(rb"[1-9]\d{0,8} <")
_COUNT = re.compile(rb"\n*([1-9]\d{0,8}) ")
_MAYBE_COUNTED = re.compile(rb"[1-9]\d{0,8} ?")
_MAYBE_COUNT = re.compile(rb"\n*(?:[1-9]\d{0,8})?")


class Messages:
    r"""Cuts the bytes of a connection into messages; holds at most one unfinished one.

    >>> counted = Messages()
    >>> counted.feed(b"7 <13>one9 <13"), counted.feed(b">a\nb c"), counted.end()
    ([(b'<13>one', False)], [(b'<13>a\nb c', False)], [])
    >>> lines = Messages()
    >>> lines.feed(b"<13>one\n<13>t"), lines.end()
    ([(b'<13>one', False)], [(b'<13>t', False)])
    """

    def __init__(self, limit_bytes: int = MESSAGE_BYTES) -> None:
        self.broken = False  # something else stands where a length should
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._counted: bool | None = None  # not told yet
        self._missing = 0  # bytes of a counted message that are yet to come
        self._cut = False  # what is kept is as much as is kept of it

    def feed(self, chunk: bytes) -> Sequence[Message]:
        """Take the next bytes; return the messages that they finish. After `broken` nothing more can be told apart."""
        if self.broken:
            return []
        if self._counted is None:
            chunk = bytes(self._kept) + chunk
            self._kept.clear()
            if _COUNTED.match(chunk) is None and _MAYBE_COUNTED.fullmatch(chunk):
                self._kept += chunk
                return []
            self._counted = _COUNTED.match(chunk) is not None
        return self._feed_counted(chunk) if self._counted else self._feed_lines(chunk)

    def end(self) -> Sequence[Message]:
        """Return the message that the connection broke off in; a counted one has lost its end."""
        found, cut = bytes(self._kept), self._cut
        if self._counted:
            found, cut = (found, True) if self._missing else (b"", False)
        self._kept.clear()
        self._missing = 0
        return [(found.rstrip(b"\r\n\0"), cut)] if found else []

    def _feed_lines(self, chunk: bytes) -> Sequence[Message]:
        *ended, rest = chunk.split(b"\n")
        found: list[Message] = []
        for piece in ended:
            self._keep(piece)
            found.append((bytes(self._kept).rstrip(b"\r\0"), self._cut))
            self._kept.clear()
            self._cut = False
        self._keep(rest)
        return found

    def _feed_counted(self, chunk: bytes) -> Sequence[Message]:
        found: list[Message] = []
        if not self._missing and self._kept:
            chunk = bytes(self._kept) + chunk
            self._kept.clear()
        at = 0
        while at < len(chunk):
            if not self._missing:
                match = _COUNT.match(chunk, at)
                if match is None:
                    if _MAYBE_COUNT.fullmatch(chunk, at) is None:
                        self.broken = True
                        self._kept.clear()
                        return found
                    self._kept += chunk[at:].lstrip(b"\n")
                    return found
                self._missing, at = int(match[1]), match.end()
            piece = chunk[at : at + self._missing]
            at += len(piece)
            self._missing -= len(piece)
            self._keep(piece)
            if not self._missing:
                found.append((bytes(self._kept).rstrip(b"\r\n\0"), self._cut))
                self._kept.clear()
                self._cut = False
        return found

    def _keep(self, piece: bytes) -> None:
        room = self._limit_bytes - len(self._kept)
        self._cut = self._cut or len(piece) > room
        self._kept += piece[:room]
