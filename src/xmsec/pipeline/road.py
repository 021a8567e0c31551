"""What the road is made of: the legs of a deployment, and what each leg hands to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from xmsec.findings.exceptions import NONE, Exceptions
from xmsec.model.clock import Quiet
from xmsec.model.ports import Detector, Grouping, Held, Ledger, Matcher, Owned
from xmsec.model.types import (
    Clock,
    Context,
    Event,
    Finding,
    Grade,
    Incident,
    Intent,
    Label,
    Parsed,
    Raw,
    Rejected,
    Revisions,
    Source,
    Span,
    Tick,
)

Tokened = tuple[Event, tuple[Span, ...]]


class Road(msgspec.Struct, frozen=True):
    """The legs of one deployment, already loaded from content; holds no connection and no clock.

    grade: of an event, from its spans and its datasets' labels; system and lateness: by stream. detectors: by who owns their
    states, which is their id, and on Kafka says their shape besides.
    """

    parse: Callable[[Raw], Parsed | None]
    classify: Callable[[Sequence[Parsed]], Sequence[Tokened]]
    grade: Callable[[Sequence[Span], Sequence[Label]], Grade | None]
    matcher: Matcher
    ledger: Ledger
    detectors: Mapping[str, Detector[Any]]
    grouping: Grouping
    system: Callable[[str], str]
    lateness: Callable[[str], timedelta]
    revisions: Revisions
    exceptions: Exceptions = NONE


class Taken(msgspec.Struct, frozen=True):
    """What `tokenise` gave: events and ticks, each partition in its own order.

    blank: the last (offset, part) of each source's blank lines, which are no events and yet were read.
    """

    passed: Sequence[Tokened | Tick]
    rejected: Sequence[Rejected]
    counts: Counter[tuple[str, str, str]]
    proposals: Counter[tuple[str, str, str]]
    blank: Mapping[Source, tuple[int, int]] = {}


class Seen(msgspec.Struct, frozen=True):
    """What `enrich` gave. quiet: with this batch the last partition fell idle or ended."""

    passed: Sequence[Context | Tick]
    clocks: Mapping[Source, Clock]
    counts: Counter[tuple[str, str, str]]
    watermark: datetime | None
    quiet: Quiet

    @property
    def contexts(self) -> list[Context]:
        """The contexts alone."""
        return [item for item in self.passed if isinstance(item, Context)]


class Told(msgspec.Struct, frozen=True):
    """What detectors said, and the states they touched."""

    findings: Sequence[Finding]
    states: Mapping[Owned, Held | None]
    rejected: Sequence[Rejected] = ()


class Cases(msgspec.Struct, frozen=True):
    """What grouping gave. findings: as they are told on, with the exceptions that cover them."""

    findings: Sequence[Finding]
    incidents: Sequence[Incident]
    intents: Sequence[Intent]
    states: Mapping[Owned, Held | None]
