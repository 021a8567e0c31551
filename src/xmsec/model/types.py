"""The nouns of the road, in the order in which a record becomes them.

`Raw` and `Parsed` may hold sensitive values and show none in their `repr`; `Event` and all that follows holds tokens only,
so that handing a raw value to a detector is a type error. `fields` are flat: ECS names with dots as keys (`source.ip`), values
are strings, numbers, booleans or lists of them. All times are aware datetimes in UTC. Records that come by the thousand are
`gc=False`: they hold no cycle, and a collector that looks for one in a batch costs a tenth of the road.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

Fields = dict[str, Any]
Severity = Literal["informational", "low", "medium", "high", "critical"]
Status = Literal["new", "acknowledged", "closed", "false-positive"]  # what people say of a finding or an incident
Level = Literal["core", "important", "general-4", "general-3", "general-2", "general-1"]
Stage = Literal["collect", "transmit", "store", "use", "provide", "open", "destroy"]
FindingKind = Literal["sigma", "correlation", "contract", "anomaly", "lineage", "exposure", "silence", "coverage"]
KeyKind = Literal["user", "device", "address", "consumer-dataset", "dataset", "subject", "stream", "exception"]

SEVERITIES: tuple[Severity, ...] = ("informational", "low", "medium", "high", "critical")
STATUSES: tuple[Status, ...] = ("new", "acknowledged", "closed", "false-positive")
LEVELS: tuple[Level, ...] = ("general-1", "general-2", "general-3", "general-4", "important", "core")
KEY_KINDS: tuple[KeyKind, ...] = ("user", "device", "address", "consumer-dataset", "dataset", "subject", "stream")  # of events
UNIT_SEPARATOR = "\x1f"  # joins the parts of a composite key's value


class Position(msgspec.Struct, frozen=True, gc=False, order=True):
    """Where a record stands, enough to read it again.

    partition: a file's fingerprint or a Kafka partition; offset: a byte (decompressed) or a Kafka offset;
    part: which line of a message that holds several.
    """

    stream: str
    partition: str
    offset: int
    part: int = 0

    @property
    def source(self) -> tuple[str, str]:
        """Stream and partition: what a clock and a committed position belong to."""
        return (self.stream, self.partition)


class Raw(msgspec.Struct, frozen=True, gc=False):
    """One record as it came.

    received: stamped at the edge; given_id: a producer's own `xmsec-id`; cut: the line was over-long.
    """

    position: Position
    received: datetime
    line: bytes
    given_id: str | None = None
    cut: bool = False

    def __repr__(self) -> str:
        return f"Raw({self.position}, {len(self.line)} bytes)"


TickState = Literal["open", "idle", "ended"]


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """A source speaks of itself, not of a record; recorded, so that a replay sees the same silence.

    open: it takes part from now on, event time waits for its first record; idle: nothing came for its `idle_s`, time may pass
    by what was `received`; ended: no more will come, it leaves the minimum.
    """

    stream: str
    partition: str
    received: datetime
    state: TickState

    @property
    def source(self) -> tuple[str, str]:
        """Stream and partition."""
        return (self.stream, self.partition)


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """A record as an ECS document that may hold values; lives between `parse` and `classify` only."""

    position: Position
    received: datetime
    time: datetime
    fields: Fields
    given_id: str | None = None
    datasets: tuple[str, ...] = ()
    stage: Stage | None = None
    flags: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Parsed({self.position}, {len(self.fields)} fields)"


class Event(msgspec.Struct, frozen=True, gc=False, tag="event", omit_defaults=True):
    """One tokened ECS document: all that detectors, recordings and stores ever see.

    flags: `far_future` (its time moves no watermark), `cut`, `replaced` (broken UTF-8), `rejected` (an ECS `pipeline_error`:
    the record is in the dead letters, this stands for it), `untokenised:<field>` (the field was replaced whole), `retried`
    (it was refused before, and is late).
    """

    id: str
    time: datetime
    received: datetime
    position: Position
    system: str
    stream: str
    fields: Fields
    datasets: tuple[str, ...] = ()
    stage: Stage | None = None
    flags: tuple[str, ...] = ()
    given_id: str | None = None


class Span(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a token stands in an event's field: code points of the tokened text, `end` exclusive.

    kept: the few attributes that the type's classifier declares to survive; nothing else can. link: for a while after the key
    was rotated, the earlier token of the same value, sealed.
    """

    field: str
    start: int
    end: int
    type: str
    recogniser: str
    score: float
    token: str
    kept: dict[str, str] = {}
    link: str = ""


class Grade(msgspec.Struct, frozen=True):
    """How grave a thing is (GB/T 43697: core, important, general 4…1), and why."""

    level: Level
    why: tuple[str, ...] = ()


class Label(msgspec.Struct, frozen=True):
    """A dated, revisable judgement of what a field holds. confidence: 0–100 (STIX 2.1)."""

    dataset: str
    field: str
    type: str
    grade: Level
    confidence: int
    why: tuple[str, ...]
    evidence: tuple[str, ...]
    as_of: datetime
    author: str


class Grant(msgspec.Struct, frozen=True, omit_defaults=True):
    """What authorises a use; valid in [start, end). quota: rows and subjects a day. Empty `fields` means all."""

    id: str
    grantee: str
    datasets: tuple[str, ...]
    start: datetime
    end: datetime | None = None
    fields: tuple[str, ...] = ()
    purpose: str | None = None
    channel: str | None = None
    quota_rows: int | None = None
    quota_subjects: int | None = None
    masked: bool = False
    onward: bool = False


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whom an account belongs to."""

    id: str
    accounts: tuple[str, ...]
    department: str = ""
    role: str = ""
    leaves: datetime | None = None


class Context(msgspec.Struct, frozen=True, gc=False):
    """What a detector reads: a pure function of event, spans, clock and the revisions of ledger and content.

    matches: ids of the Sigma rules that hold for this event, sorted. late: older than its own partition's running maximum less
    the allowed lateness; detectors with windows leave it.
    """

    event: Event
    spans: tuple[Span, ...] = ()
    labels: tuple[Label, ...] = ()
    grade: Grade | None = None
    grants: tuple[Grant, ...] = ()
    person: Person | None = None
    matches: tuple[str, ...] = ()
    late: bool = False

    @property
    def untimely(self) -> bool:
        """Whether windows leave this event: it is late, or its time is far in the future."""
        return self.late or "far_future" in self.event.flags


class Key(msgspec.Struct, frozen=True, gc=False, order=True):
    """Whose state an event touches; a composite value joins its parts with the unit separator."""

    kind: KeyKind
    value: str

    @classmethod
    def of(cls, kind: KeyKind, *parts: str) -> Key:
        """Make a key from the parts of its value."""
        return cls(kind, UNIT_SEPARATOR.join(parts))


class Window(msgspec.Struct, frozen=True, gc=False, order=True):
    """Event time, half open: [start, end)."""

    start: datetime
    end: datetime


class Entity(msgspec.Struct, frozen=True, gc=False, order=True):
    """Whom a finding speaks of: its key, as it is written out."""

    type: KeyKind
    id: str


class Explanation(msgspec.Struct, frozen=True):
    """One reason: what was looked at, what it was, what it usually is, and how much it weighs (0–1)."""

    what: str
    value: str
    usual: str = ""
    weight: float = 1.0


class Finding(msgspec.Struct, frozen=True, kw_only=True, tag="finding", omit_defaults=True):
    """What one detector says about one entity in one window; the engine's part, never touched by people.

    time: the last event it rests on, first_seen: the first (STIX sighting); count is exact; events: at most 20 ids and evidence
    at most 5 tokened events, both the earliest by (time, id); datasets: the least 32 by name; exception: the id of the one that
    covers it, written by `findings.exceptions` alone: such a finding is kept, counted, and makes no incident.
    """

    id: str
    time: datetime
    first_seen: datetime
    detector: str
    version: str
    kind: FindingKind
    title: str
    severity: Severity
    risk: int
    system: str
    stream: str
    entity: Entity
    count: int
    window: Window
    state: Literal["open", "final"]
    stage: Stage | None = None
    grade: Level | None = None
    labels: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    evidence: tuple[Event, ...] = ()
    explanation: tuple[Explanation, ...] = ()
    controls: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    exception: str | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Findings that need one decision, keyed by one primary entity and the day of their windows. levels: scale → level.

    Without findings it is no incident any more: an exception covers all that it had.
    """

    id: str
    opened: datetime
    entity: Entity
    severity: Severity
    risk: int
    findings: tuple[str, ...]
    detectors: tuple[str, ...]
    systems: tuple[str, ...] = ()
    levels: dict[str, str] = {}
    due: datetime | None = None
    state: Literal["open", "final"] = "open"


ActKind = Literal["comment", "status", "merge", "split", "move"]


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody decided of an incident, once and for good: a later act may decide otherwise, none is taken back.

    id: the same decision said again has the same; incident: whose (merge, move: into which); incidents: which were merged, or
    out of which findings were moved; findings: which were split off or moved, or whose own status was set
    (incidents: the further ones that they are of); into: the incident that a split made; assignee: None leaves it as it is.
    """

    id: str
    kind: ActKind
    incident: str
    by: str
    at: datetime
    text: str = ""
    incidents: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    into: str = ""
    status: str = ""
    assignee: str | None = ""

    @property
    def about(self) -> tuple[str, ...]:
        """Every incident that it speaks of, sorted."""
        return tuple(sorted({self.incident, *self.incidents, self.into} - {""}))


class Intent(msgspec.Struct, frozen=True):
    """A wish that a playbook run for an incident, written with the finding, executed once elsewhere."""

    id: str
    playbook: str
    incident: str


class Rejected(msgspec.Struct, frozen=True):
    """A dead letter: where the record stands, which leg refused it and why; never the record itself."""

    position: Position
    leg: str
    reason: str
    at: datetime


class Clock(msgspec.Struct, frozen=True, omit_defaults=True):
    """Event time of one source partition.

    maximum: running maximum of event time; received: the last record or tick; offset, part: the last position absorbed;
    ids: producers' own ids seen within the lateness, with their time.
    """

    state: TickState = "open"
    maximum: datetime | None = None
    received: datetime | None = None
    offset: int = -1
    part: int = 0
    ids: dict[str, datetime] = {}


class Revisions(msgspec.Struct, frozen=True):
    """Under which content and which ledger a batch was made."""

    content: str
    ledger: int


Source = tuple[str, str]
Counts = Mapping[tuple[str, str, str], int]  # (what, stream, detail) → how often
Proposals = Mapping[tuple[str, str, str], int]  # (dataset, field, type) → spans seen
Passed = Sequence[Context | Tick]  # what a batch carried, each partition in its own order
