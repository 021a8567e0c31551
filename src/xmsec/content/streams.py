"""A stream file says what one source is: `streams/<system>/<what>.yaml`, with sample lines that prove it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from xmsec.content.load import Document, convert, files, load_each
from xmsec.model.errors import ContentError, InputError
from xmsec.model.types import Parsed, Position, Raw, Stage

_ADDRESS = re.compile(
    r"(?P<scheme>udp|tcp|tls)://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[\w.-]+)):(?P<port>\d{1,5})", re.ASCII
)

Scalar = str | int | float | bool
Name = Annotated[str, msgspec.Meta(min_length=1)]
Seconds = Annotated[int, msgspec.Meta(ge=0)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
SAMPLE_RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)  # when a sample was received that names no time of its own


class Title(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title for people, in both languages."""

    zh: Name
    en: Name


class DatasetRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which dataset an event touches, and in which lifecycle stage, when all of `when` holds.

    when: field → a wildcard (`*` any text, `?` one character) or a list of them, any of which suffices; an empty `when` always
    holds. Every rule that holds adds its dataset; the first one that names a stage gives it. Names are written out, never built
    from an event's text, so that no value hides in one.
    """

    when: dict[str, Scalar | list[Scalar]] = {}
    dataset: Name | None = None
    stage: Stage | None = None


class Framing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How lines make records, where one may span several or hold several: `begins` (and `ends`), `quotes`, or `array`.

    begins: a regular expression; a record begins at every line whose start it matches, other lines continue it. ends: another;
    a line in which it is found (white space at its end left out) finishes its record at once. quotes: a record is a row of CSV,
    whose double quotes may hold line ends. array: a line that is a JSON array holds a record in each of its objects.
    """

    begins: Name | None = None
    ends: Name | None = None
    quotes: bool = False
    array: bool = False


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One raw line and what the parser makes of it, before classification.

    fields: a subset of the document's fields; absent: fields that it must not have; rejected: the reason instead of a document.
    received: the moment for year-less dates (default: `time`).
    """

    line: Name
    fields: dict[str, Any] = {}
    absent: tuple[str, ...] = ()
    time: Moment | None = None
    received: Moment | None = None
    datasets: tuple[str, ...] | None = None
    stage: Stage | None = None
    flags: tuple[str, ...] | None = None
    rejected: Name | None = None


class Stream(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One source of records.

    format: a parser's name (`xmsec.parse.table`). timezone: of times without a zone (default: the deployment's). paths: globs
    that `run` reads. listen: addresses (`udp://`, `tcp://`, `tls://` HOST:PORT) where syslog senders bring it. columns: ECS
    names of what follows a combined line (`event.duration@s` converts seconds; `-` leaves one out). map: ECS field → dotted
    path in a JSON record; `@timestamp` names its time, whose form is `time_format` (`rfc3339`, `epoch_s`, `epoch_ms`, or
    strptime's codes). set: constant fields, where the record has none of its own. identities: fields that stay readable;
    typed: further fields that are not scanned; scan: fields scanned though typed; drop: fields left out. stage: where no rule
    of `datasets` gives one. namespace: of the objects that a database's log names (OpenLineage: `postgres://host:5432`).
    silence_s: how long it may say nothing (None: for ever). lines: how lines make a record (None: each line is one); what is
    sent over the network is one record a message. prefix: PostgreSQL's `log_line_prefix`. unwrap: where a shipper's JSON has
    the record: `auto` (recognised by what Filebeat, Vector and Fluent Bit write), `never`, or a dotted path.
    """

    id: Name
    title: Title
    format: Name
    status: Literal["experimental", "test", "stable"] = "test"
    references: tuple[str, ...] = ()
    timezone: str | None = None
    paths: tuple[Name, ...] = ()
    listen: tuple[Name, ...] = ()
    lines: Framing | None = None
    prefix: Name | None = None
    unwrap: Name = "auto"
    columns: tuple[Name, ...] = ()
    map: dict[Name, Name] = {}
    time_format: Name = "rfc3339"
    set: dict[Name, Scalar] = {}
    identities: tuple[Name, ...] = ()
    typed: tuple[Name, ...] = ()
    scan: tuple[Name, ...] = ()
    drop: tuple[Name, ...] = ()
    datasets: tuple[DatasetRule, ...] = ()
    namespace: Name | None = None
    stage: Stage | None = None
    lateness_s: Seconds = 300
    idle_s: Annotated[int, msgspec.Meta(ge=1)] = 10
    silence_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    samples: Annotated[tuple[Sample, ...], msgspec.Meta(min_length=1)]

    @property
    def system(self) -> str:
        """The part of the id before its first dot."""
        return self.id.partition(".")[0]

    def zone(self, deployment: tzinfo) -> tzinfo:
        """Return the zone of this stream's times without one."""
        return deployment if self.timezone is None else ZoneInfo(self.timezone)


def load_streams(dirs: Sequence[Path]) -> tuple[dict[str, Stream], list[ContentError]]:
    """Load the streams of content directories, a later one replacing a file of the same name; good ones and all problems."""
    good, problems = load_each(files(dirs, "streams"), load_stream)
    return {stream.id: stream for stream in good}, problems


def load_stream(document: Document) -> Stream:
    """Turn one file into a stream. Raises ContentError with the line."""
    stream = convert(document, Stream)
    expected = f"{document.path.parent.name}.{document.path.stem}"
    if stream.id != expected:
        raise document.error(f'id "{stream.id}" is not that of its path', "$.id", f'write "{expected}" or move the file')
    if stream.timezone is not None:
        try:
            ZoneInfo(stream.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise document.error(
                f'timezone "{stream.timezone}" is unknown', "$.timezone", "write an IANA name, Asia/Shanghai"
            ) from error
    if stream.lines is not None:
        _check_framing(stream.lines, document)
    for place, one in enumerate(stream.listen):
        if listened(one) is None:
            remedy = "write udp://HOST:PORT, tcp:// or tls://"
            raise document.error(f'"{one}" is no address to listen at', f"$.listen[{place}]", remedy)
    both = sorted({*stream.drop} & {*stream.identities, *stream.scan})
    if both:
        raise document.error(f'field "{both[0]}" is dropped and used', "$.drop", "take it out of one of them")
    return stream


def _check_framing(framing: Framing, document: Document) -> None:
    if (framing.begins is not None) + framing.quotes + framing.array != 1 or (framing.ends and framing.begins is None):
        what = "lines say none or several of begins, quotes and array"
        raise document.error(what, "$.lines", "write one; ends belongs to begins")
    for name, expression in (("begins", framing.begins), ("ends", framing.ends)):
        try:
            re.compile((expression or "").encode())
        except re.error as error:
            what = f"{name} is no regular expression: {error.msg}"
            raise document.error(what, f"$.lines.{name}", "correct it") from error


def listened(address: str) -> tuple[str, str, int] | None:
    """Take an address apart: scheme, host, port; None when it is none.

    >>> listened("tls://[::1]:6514"), listened("tcp://logs:601"), listened("http://logs:80")
    (('tls', '::1', 6514), ('tcp', 'logs', 601), None)
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65_535:
        return None
    return match["scheme"], match["host"] or match["six"], int(match["port"])


def check_samples(stream: Stream, parse: Callable[[Raw], Parsed | None]) -> list[str]:
    """Run a stream's samples through a parser; return one line a difference, which names fields, types and lengths only."""
    problems: list[str] = []
    for number, sample in enumerate(stream.samples, 1):
        position = Position(stream.id, "sample", number)
        received = sample.received or sample.time or SAMPLE_RECEIVED
        try:
            parsed = parse(Raw(position, received, sample.line.encode()))
        except InputError as error:
            got = error.what
            differences = [] if got == sample.rejected else [f"rejected as {got}, expected {sample.rejected or 'a document'}"]
        else:
            differences = list(_differences(sample, parsed))
        problems += (f"sample {number}: {difference}" for difference in differences)
    return problems


def _differences(sample: Sample, parsed: Parsed | None) -> Iterator[str]:
    if parsed is None:
        yield "taken for a blank line"
        return
    if sample.rejected is not None:
        yield f"accepted, expected to be rejected as {sample.rejected}"
    if sample.time is not None and parsed.time != sample.time:
        yield f"time is {parsed.time.isoformat()}, expected {sample.time.isoformat()}"
    yield from _field_differences(sample.fields, parsed.fields)
    yield from (f"{field}: present, expected to be absent" for field in sample.absent if field in parsed.fields)
    for what in ("datasets", "stage", "flags"):
        wanted = getattr(sample, what)
        if wanted is not None and getattr(parsed, what) != wanted:
            yield f"{what}: not as expected"


def _field_differences(expected: Mapping[str, Any], got: Mapping[str, Any]) -> Iterator[str]:
    for field, wanted in expected.items():
        if field not in got:
            yield f"{field}: missing"
        elif got[field] != wanted or type(got[field]) is not type(wanted):
            size = f", length {len(got[field])}" if isinstance(got[field], str | list) else ""
            yield f"{field}: another value ({type(got[field]).__name__}{size})"
