"""From a raw record to its parsed document: what all formats share before and after they read a line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo

from xmsec.content.streams import Stream
from xmsec.model.clock import DAY, EPOCH, FAR
from xmsec.model.errors import InputError
from xmsec.model.types import Fields, Parsed, Raw
from xmsec.parse.clean import BOM, NEEDS_CARE
from xmsec.parse.dataset import judge_of
from xmsec.parse.envelope import opener
from xmsec.parse.reading import Maker
from xmsec.parse.tidy import tidy
from xmsec.parse.times import bad_time


def document_parser(
    stream: Stream, maker: Maker, zone: tzinfo, *, tidy_when_plain: bool = False
) -> Callable[[Raw], Parsed | None]:
    """Make the parser of one stream: None for a blank line, InputError(reason) for a record that it cannot read.

    tidy_when_plain: whether nothing is left to decode in the format's fields when the line is plain ASCII.
    """
    read = maker(stream, stream.zone(zone))
    judge = judge_of(stream) if stream.datasets or stream.stage else None
    constants, drop = tuple(stream.set.items()), stream.drop
    take_off = opener(stream.format, stream.unwrap)

    def parse(raw: Raw) -> Parsed | None:
        line = raw.line.rstrip(b"\r\n")
        broken = False
        plain = line.isascii() and len(line.translate(None, NEEDS_CARE)) == len(line)
        if plain:
            text = line.decode()
        else:
            text, broken = _decode(line)
        if not text or text.isspace():
            return None
        received = raw.received
        opened = take_off(text, received) if take_off is not None and text[0] == "{" else None
        if opened is not None:
            text, received, plain = opened.text, opened.received, False
            if not text or text.isspace():
                return None
        reading = read(text, received)
        if reading is None:
            return None
        time, fields, datasets, stage = reading.time, reading.fields, reading.datasets, reading.stage
        if opened is not None:
            for name, value in opened.fields.items():
                fields.setdefault(name, value)
        replaced = (not (plain and tidy_when_plain) and tidy(fields)) or broken
        for name, value in constants:
            fields.setdefault(name, value)
        for name in drop:
            fields.pop(name, None)
        if judge is not None:
            more, ruled = judge(fields)
            datasets, stage = (datasets + more if datasets else more), ruled or stage
        flags = _flags(raw, replaced=replaced) if replaced or raw.cut else ()
        if not EPOCH <= time <= raw.received + DAY:
            if not EPOCH <= time < FAR:
                raise bad_time()
            flags = ("far_future", *flags)
        return Parsed(raw.position, raw.received, time, fields, raw.given_id, datasets, stage, flags)

    return parse


def _flags(raw: Raw, *, replaced: bool) -> tuple[str, ...]:
    return ("cut",) * raw.cut + ("replaced",) * replaced


def _decode(line: bytes) -> tuple[str, bool]:
    """Decode a line; what is no UTF-8 becomes U+FFFD, and NULs before it (a crash leaves them) are cut off."""
    line = line.removeprefix(BOM)
    rest = line.lstrip(b"\0")
    if line and not rest:
        raise InputError("nul-line")
    try:
        return rest.decode(), len(rest) < len(line)
    except UnicodeDecodeError:
        pass
    return rest.decode("utf-8", "replace"), True


def put(fields: Fields, name: str, value: str) -> None:
    """Set a field unless the log has a dash or nothing in its place."""
    if value not in ("-", ""):
        fields[name] = value
