"""Inline tests of detector files: their events as the road would carry them, and what came out against what was expected.

An inline event is a flat or nested ECS document with tokens in it (`⟨CN_MOBILE:…⟩` becomes a span). It may also say `time`
(RFC 3339, or `+90s` after the test's start; default: a second after the one before), `stream` (default `inline.test`),
`datasets`, `stage`, and `repeat: 60` with `every: 10s`: then `{n}` in its texts is the number of the copy, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from xmsec.content.detectors import Case, DetectorFile, Expected, duration
from xmsec.content.flatten import flatten
from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import InputError
from xmsec.model.ids import event_id
from xmsec.model.types import UNIT_SEPARATOR, Event, Finding, Position, Span, Stage

START = datetime(2026, 1, 5, 2, tzinfo=UTC)  # a Monday, ten o'clock in Xiamen
STREAM = "inline.test"
SECOND = timedelta(seconds=1)
MOST = 10_000  # copies of one event
TOKEN = re.compile(r"⟨([A-Z][A-Z0-9_]*):([^⟨⟩]+)⟩")
Tokened = tuple[Event, tuple[Span, ...]]
Run = Callable[[DetectorFile, Case, Sequence[Tokened]], Sequence[Finding]]


class Said(msgspec.Struct, frozen=True):
    """What an inline event says of itself beside its fields."""

    time: str | None = None
    stream: str = STREAM
    datasets: tuple[str, ...] = ()
    stage: Stage | None = None
    flags: tuple[str, ...] = ()
    repeat: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 1
    every: str = "1s"


_OWN = Said.__struct_fields__


class Failure(msgspec.Struct, frozen=True):
    """One expectation that did not hold: `path:line`, the test's name, and what was otherwise."""

    where: str
    case: str
    what: str

    def __str__(self) -> str:
        return f'{self.where}: "{self.case}": {self.what}'


def check(file: DetectorFile, run: Run) -> list[Failure]:
    """Run a file's inline tests; run: carries one test's events along the road and gives all final findings."""
    failures: list[Failure] = []
    for place, case in enumerate(file.tests):
        at = f"$.tests[{place}]"
        where = file.error("", at).where
        try:
            findings = run(file, case, inline_events(case))
        except InputError as error:
            failures.append(Failure(where, case.name, str(error)))
            continue
        own = [finding for finding in findings if _own(file, finding)]
        failures += (Failure(where, case.name, what) for what in compare(case.findings, own))
    return failures


def _own(file: DetectorFile, finding: Finding) -> bool:
    return finding.detector == file.id or finding.detector.startswith(f"{file.id}-")


def compare(expected: Sequence[Expected], findings: Sequence[Finding]) -> list[str]:
    """Say what differs: each expectation needs a finding of its own, and no finding may be left over."""
    left = sorted(findings, key=lambda finding: finding.id)
    failures: list[str] = []
    for wanted in expected:
        fitting = next((finding for finding in left if not list(_differences(wanted, finding))), None)
        if fitting is not None:
            left.remove(fitting)
        elif left:
            nearest = min(left, key=lambda finding: len(list(_differences(wanted, finding))))
            failures.append(f"expected {_written(wanted)}; nearest finding: {', '.join(_differences(wanted, nearest))}")
        else:
            failures.append(f"expected {_written(wanted)}; nothing was found")
    if len(findings) > len(expected):
        more = ", ".join(f"{finding.detector} on {_entity(finding)} ({finding.count})" for finding in left)
        failures.append(f"expected {len(expected)} findings, not {len(findings)}: {more}")
    return failures


def _differences(wanted: Expected, finding: Finding) -> Iterator[str]:
    for name in ("severity", "count", "title", "grade", "state"):
        value = getattr(wanted, name)
        if value is not None and getattr(finding, name) != value:
            yield f"{name} is {getattr(finding, name)}"
    if wanted.entity is not None and wanted.entity not in (finding.entity.id, _entity(finding)):
        yield f"entity is {_entity(finding)}"
    for part in wanted.explanation:
        reasons = [msgspec.structs.asdict(reason) for reason in finding.explanation]
        if not any(all(reason.get(key) == value for key, value in part.items()) for reason in reasons):
            yield f"explanation is {'; '.join(f'{reason.what}={reason.value}' for reason in finding.explanation)}"


def _entity(finding: Finding) -> str:
    return finding.entity.id.replace(UNIT_SEPARATOR, " / ")


def _written(wanted: Expected) -> str:
    return ", ".join(f"{key} {value}" for key, value in msgspec.to_builtins(wanted).items()) or "a finding"


def inline_events(case: Case) -> list[Tokened]:
    """Make events of a test's documents. Raises InputError for a document that cannot be one."""
    return _tokened(case.given.events)


def inline_history(case: Case) -> list[Tokened]:
    """Make the events that a test's model learns from, in order of time. Raises InputError as `inline_events` does."""
    ordered = sorted(_tokened(case.given.history), key=lambda each: each[0].time)
    places = (msgspec.structs.replace(event.position, offset=at) for at, (event, _) in enumerate(ordered))
    return [
        (msgspec.structs.replace(event, id=event_id(place), position=place), spans)
        for place, (event, spans) in zip(places, ordered, strict=True)
    ]


def _tokened(documents: Sequence[Mapping[str, Any]]) -> list[Tokened]:
    made: list[Tokened] = []
    time = START - SECOND
    for document in documents:
        said = _said(document)
        time = _time(said.time, time + SECOND)
        step = duration(said.every)
        if step is None:
            raise InputError("bad-repeat", remedy="write every: 10s")
        leaves = {name: value for name, value in flatten(document).items() if not isinstance(value, dict)}
        for copy in range(said.repeat):
            if copy:
                time = _later(time, step)
            fields = {
                name: _numbered(value, copy if said.repeat > 1 else None) for name, value in leaves.items() if name not in _OWN
            }
            made.append((_event(said, time, fields, len(made)), tuple(_spans(fields))))
    return made


def _said(document: Mapping[str, Any]) -> Said:
    try:
        return msgspec.convert(document, Said)
    except msgspec.ValidationError as error:
        raise InputError(f"an event that cannot be one: {error}", remedy="correct it") from error


def until(case: Case) -> datetime | None:
    """Return when event time stands still: `2d` after the last event, `+2d` after the start, or RFC 3339. Raises InputError."""
    said = case.given.until
    after = None if said is None else duration(said)
    if after is None:
        return None if said is None else _time(said, START)
    return _later(max((event.time for event, _ in inline_events(case)), default=START), after)


def _time(said: str | None, default: datetime) -> datetime:
    if said is None:
        return default
    if said.startswith("+"):
        after = duration(said[1:])
        if after is None:
            raise InputError("bad-time", remedy="write +90s, +2h, or RFC 3339")
        return _later(START, after)
    return from_rfc3339(said)


def _later(time: datetime, after: timedelta) -> datetime:
    try:
        return time + after
    except OverflowError as error:
        raise InputError("bad-time", remedy="stay within the years that there are") from error


def _event(said: Said, time: datetime, fields: dict[str, Any], number: int) -> Event:
    position = Position(said.stream, "inline", number)
    return Event(
        id=event_id(position),
        time=time,
        received=time,
        position=position,
        system=said.stream.partition(".")[0],
        stream=said.stream,
        fields=fields,
        datasets=said.datasets,
        stage=said.stage,
        flags=said.flags,
    )


def _numbered(value: Any, copy: int | None) -> Any:
    if isinstance(value, list):
        return [_numbered(item, copy) for item in value]
    return value.replace("{n}", str(copy)) if isinstance(value, str) and copy is not None else value


def _spans(fields: Mapping[str, Any]) -> Iterator[Span]:
    for name, value in fields.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                for match in TOKEN.finditer(text):
                    yield Span(name, match.start(), match.end(), match[1], "inline", 1.0, match[0])
