"""Records out of the body of a request: what shippers really send, whatever they call it.

NDJSON; a JSON array (Fluent Bit's and Vector's `json`); JSON objects one after the other without line ends (Fluent Bit's
`json_stream`); Elasticsearch's bulk lines (Filebeat, Logstash); text, a record a line. Fluent Bit says `application/json` of
the first three alike, so that the body itself is looked at. Compressed or not.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from xmsec.content.streams import Framing
from xmsec.model.errors import InputError
from xmsec.sources.lines import LINE_BYTES
from xmsec.sources.records import records_of

BODY_BYTES = 16 << 20  # decompressed; Vector sends at most 10 MB unless told otherwise, Fluent Bit a chunk of 2 MB
ID_FIELD = "xmsec-id"
RECORDS = 200_000  # of one body
COMMAS = 2_000_000  # in an array: 16 MiB of the smallest members would be half a GiB of Python
PACKED = frozenset({"gzip", "x-gzip", "deflate"})
BULK_ACTIONS = frozenset({"index", "create"})

_ID_BYTES = b'"xmsec-id"'
_SPACE = b" \t\r\n\0"


class _Named(msgspec.Struct):
    given: str | int | None = msgspec.field(default=None, name=ID_FIELD)


class _Object(msgspec.Struct):
    """Any JSON object, nothing of it kept."""


class Found(msgspec.Struct, frozen=True):
    """What a body holds. ids: producers' own, by place; refused: places of what is no JSON object; cut: of over-long ones."""

    lines: tuple[bytes, ...]
    ids: tuple[str | None, ...] = ()
    refused: frozenset[int] = frozenset()
    cut: tuple[int, ...] = ()

    def __repr__(self) -> str:
        return f"Found({len(self.lines)} records)"


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_named = msgspec.json.Decoder(_Named).decode
_object = msgspec.json.Decoder(_Object).decode
_action = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def unpacked(body: bytes, encoding: str, limit_bytes: int = BODY_BYTES) -> bytes:
    """Decompress a body. Raises InputError: `body-too-large`, `damaged-body`."""
    if not encoding or encoding == "identity":
        return body
    made = b""
    try:
        while body:
            member = zlib.decompressobj(wbits=47)  # gzip's or zlib's head
            made += member.decompress(body, limit_bytes + 1 - len(made))
            if len(made) > limit_bytes:
                raise InputError("body-too-large")
            if not member.eof:
                raise InputError("damaged-body")
            body = member.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise InputError("damaged-body") from error
    return made


def text_records(body: bytes, framing: Framing | None = None) -> Found:
    """Take every line for a record, whatever it is, or what the stream's framing makes of lines. Raises InputError."""
    _few(body, b"\n", RECORDS)
    found = [one for one in records_of(framing, body) if one[1].strip(_SPACE)]
    return Found(tuple(line for _, line, _ in found), cut=tuple(place for place, (*_, cut) in enumerate(found) if cut))


def json_records(body: bytes) -> Found:
    """Take the JSON objects of a body for records; what is none is a record too, for the dead letters. Raises InputError."""
    begun = body.lstrip(_SPACE)
    _few(body, b"}{", RECORDS)
    if begun[:1] == b"[":
        _few(body, b",", COMMAS)
        try:
            return _checked(bytes(one) for one in _array(body.strip(_SPACE)))
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise InputError("damaged-body") from error
    _few(body, b"\n", RECORDS)
    return _checked(_lines(body))


def bulk_records(body: bytes) -> tuple[Found, Sequence[str]]:
    """Take the documents of Elasticsearch's bulk lines for records; return their actions too. Raises InputError.

    An action's `_id` is the record's own.
    """
    _few(body, b"\n", 2 * RECORDS)
    lines = [line for line in body.split(b"\n") if line.strip(_SPACE)]
    if len(lines) % 2:
        raise InputError("damaged-body")
    actions: list[str] = []
    ids: list[str | None] = []
    for line in lines[::2]:
        try:
            ((name, told),) = _action(line).items()
            given = _bulk(told).given
        except (msgspec.DecodeError, ValueError) as error:
            raise InputError("damaged-body") from error
        if name not in BULK_ACTIONS:
            raise InputError("bulk-action")
        actions.append(name)
        ids.append(given)
    found = _checked(lines[1::2])
    return msgspec.structs.replace(found, ids=tuple(ids) if any(ids) else found.ids), actions


class _Bulk(msgspec.Struct):
    given: str | None = msgspec.field(default=None, name="_id")


_bulk = msgspec.json.Decoder(_Bulk).decode


def _lines(body: bytes) -> Iterator[bytes]:
    for line in body.split(b"\n"):
        line = line.strip(_SPACE)
        if line:
            yield from _apart(line) if b"}{" in line or b"} {" in line else (line,)


def _apart(line: bytes) -> Sequence[bytes]:
    """Take objects that stand in one line apart; what cannot be is one record."""
    try:
        text = line.decode()
        found: list[bytes] = []
        at = 0
        while at < len(text):
            _, end = _json.raw_decode(text, at)
            found.append(text[at:end].encode())
            gap = _GAP.match(text, end)
            at = gap.end() if gap else end
    except (ValueError, RecursionError):
        return (line,)
    return found


_json = json.JSONDecoder()
_GAP = re.compile(r"[ \t\r]*")


def _few(body: bytes, separator: bytes, most: int) -> None:
    """Count what parts the records before they are made: a small body can hold very many."""
    if body.count(separator) > most:
        raise InputError("body-too-large")


def _checked(records: Iterable[bytes]) -> Found:
    found = _cut(records)
    refused = frozenset(place for place, line in enumerate(found.lines) if not _is_object(line))
    if not any(_ID_BYTES in line for line in found.lines):
        return msgspec.structs.replace(found, refused=refused)
    ids = tuple(_own_id(line) if place not in refused else None for place, line in enumerate(found.lines))
    return msgspec.structs.replace(found, refused=refused, ids=ids if any(ids) else ())


def _is_object(line: bytes) -> bool:
    try:
        _object(line)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return False
    return True


def _own_id(line: bytes) -> str | None:
    if _ID_BYTES not in line:
        return None
    try:
        given = _named(line).given
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
    return None if given is None else str(given)


def _cut(records: Iterable[bytes]) -> Found:
    lines = list(records)
    cut = tuple(place for place, line in enumerate(lines) if len(line) > LINE_BYTES)
    for place in cut:
        lines[place] = lines[place][:LINE_BYTES]
    return Found(tuple(lines), cut=cut)
