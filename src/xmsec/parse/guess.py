"""Which stream a file of unknown origin belongs to: the one that reads most of its first lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Position, Raw
from xmsec.parse.framing import joined
from xmsec.parse.road import stream_parser

LINES = 200  # read of a file; more changes no guess
ENOUGH = 0.5  # of the lines: a log may be half damaged and is still that log
# a tie goes to what is more particular: an nginx line in JSON that has an `@timestamp` is ECS too
_ORDER = ("openlineage", "debezium", "apisix", "kong", "postgresql", "mysql", "web", "cef", "leef", "syslog", "ecs")
_RECEIVED = datetime(2100, 1, 1, tzinfo=UTC)  # only whether a line is read matters, and no year-less date is refused


def guess(lines: Sequence[bytes], streams: Mapping[str, Stream], zone: tzinfo = UTC) -> str:
    """Return the id of the stream that fits: one of `generic`, else the other one that makes most of the lines.

    Raises InputError when none fits, or several equally well.
    """
    sample = [line for line in lines[:LINES] if line.strip(b"\xef\xbb\xbf\0 \t\r\n")]
    if not sample:
        raise InputError("no line to guess a stream from", remedy="name it with --stream")
    generic = sorted((name for name in streams if name.startswith("generic.")), key=_rank)
    shares = {name: _share(sample, streams[name], zone)[0] for name in generic}
    best = max(generic, key=lambda name: shares[name], default=None)
    if best is not None and shares[best] >= ENOUGH:
        return best
    others = sorted(set(streams) - set(generic))
    fitting = {name: _share(sample, streams[name], zone) for name in others}
    fields = {name: count for name, (share, count) in fitting.items() if share >= ENOUGH}
    most = [name for name, count in fields.items() if count == max(fields.values())]
    if len(most) == 1:
        return most[0]
    if fields:
        raise InputError("several streams fit these lines", where=", ".join(fields), remedy="name one with --stream")
    tried = ", ".join((*generic, *others)) or "none is loaded"
    raise InputError("no stream fits these lines", where=f"tried {tried}", remedy="name one with --stream")


def _rank(name: str) -> tuple[int, str]:
    what = name.partition(".")[2]
    return (_ORDER.index(what) if what in _ORDER else len(_ORDER), name)


def _share(lines: Sequence[bytes], stream: Stream, zone: tzinfo) -> tuple[float, int]:
    """Return which share of the records a stream reads, and how many fields it finds in them."""
    read = fields = records = 0
    parse = stream_parser(stream, zone)
    for offset, record, _ in joined(stream.lines, ((offset, line, False) for offset, line in enumerate(lines))):
        try:
            parsed = parse(Raw(Position(stream.id, "guess", offset), _RECEIVED, record))
        except InputError:
            records += 1
            continue
        if parsed is not None:
            records += 1
            read += 1
            fields += len(parsed.fields)
    return read / max(records, 1), fields
