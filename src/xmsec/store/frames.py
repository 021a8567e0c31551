"""Framed rows: how the open recording lies on disk, so that it can be cut at any committed length.

A frame is its payload's length and CRC-32 (four bytes each, big-endian) and the payload: one batch in msgpack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec

from xmsec.model.errors import InputError
from xmsec.model.ports import Outcome
from xmsec.model.types import Context, Event, Span, Tick

Row = tuple[Event, tuple[Span, ...]] | Tick

_HEADER = struct.Struct(">II")


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """What one batch carried, in its order, and the revisions of content and ledger that it was made under."""

    content: str
    ledger: int
    rows: Sequence[Row]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def frame_of(outcome: Outcome) -> bytes:
    """Write what a batch carried; nothing when it carried nothing."""
    if not outcome.passed:
        return b""
    rows = [(item.event, item.spans) if isinstance(item, Context) else item for item in outcome.passed]
    payload = _encode(Frame(outcome.revisions.content, outcome.revisions.ledger, rows))
    return _HEADER.pack(len(payload), crc32(payload)) + payload


def frames(path: Path, length: int) -> Iterator[Frame]:
    """Read the frames within the first `length` bytes. Raises InputError when one is damaged."""
    with path.open("rb") as file:
        while file.tell() < length:
            yield _decode(_payload(file, path))


def _payload(file: BinaryIO, path: Path) -> bytes:
    at = file.tell()
    header = file.read(_HEADER.size)
    if len(header) == _HEADER.size:
        size, check = _HEADER.unpack(header)
        payload = file.read(size)
        if len(payload) == size and crc32(payload) == check:
            return payload
    raise InputError("damaged-frame", where=f"{path}:{at}", remedy="restore the file from a backup")
