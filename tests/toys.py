"""A road of toys: JSON lines in, three detectors, an empty ledger, no rules. The seams are proved with it on both runtimes.

A line is `{"t": minutes since the epoch, "user": …, "action": …}`. The detectors: one without state (every `forbidden`), one
with windows (three events of a user in ten minutes), one that cares for order (a login in the hour after a password change).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import NoneType

import msgspec

from xmsec.content.exceptions import ExceptionFile
from xmsec.detect.fold import About, Fold, finding, fold
from xmsec.findings.exceptions import Exceptions
from xmsec.findings.incident import ByEntityAndDay
from xmsec.model.clock import EPOCH, HOUR, window_of
from xmsec.model.errors import InputError
from xmsec.model.ids import event_id
from xmsec.model.types import (
    Context,
    Event,
    Explanation,
    Finding,
    Grant,
    Key,
    Label,
    Parsed,
    Person,
    Raw,
    Revisions,
    Span,
    Window,
)
from xmsec.pipeline.road import Road

MOMENT = timedelta(microseconds=1)
TEN_MINUTES = timedelta(minutes=10)
LATENESS = timedelta(minutes=5)
MANY = 3


class Line(msgspec.Struct):
    """What a toy's line says."""

    t: float
    user: str
    action: str


def parse(raw: Raw) -> Parsed | None:
    """Read one JSON line; blank lines are nothing, others that are not JSON are refused."""
    if not raw.line.strip():
        return None
    try:
        line = msgspec.json.decode(raw.line, type=Line)
    except msgspec.DecodeError as error:
        raise InputError("not-json") from error
    fields = {"user.id": line.user, "event.action": line.action}
    return Parsed(raw.position, raw.received, EPOCH + timedelta(minutes=line.t), fields, raw.given_id, ("toys",))


def classify(batch: Sequence[Parsed]) -> Sequence[tuple[Event, tuple[Span, ...]]]:
    """Nothing in a toy is sensitive."""
    return [(_event(parsed), ()) for parsed in batch]


def _event(parsed: Parsed) -> Event:
    position = parsed.position
    return Event(
        id=event_id(position, parsed.given_id),
        time=parsed.time,
        received=parsed.received,
        position=position,
        system="toys",
        stream=position.stream,
        fields=parsed.fields,
        datasets=parsed.datasets,
        given_id=parsed.given_id,
    )


def _keys(context: Context) -> Sequence[Key]:
    user = context.event.fields.get("user.id")
    return () if user is None else (Key("user", user),)


class Each:
    """Without state: one finding for each forbidden action, whenever it comes."""

    id, version, fields, state = "toy-each", "1", frozenset({"user.id", "event.action"}), NoneType
    about = About("toy-each", "1", "sigma", "单个 · each", "high", playbooks=("toy-playbook",))

    def initial(self) -> Sequence[Key]:
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        return _keys(context) if context.event.fields.get("event.action") == "forbidden" else ()

    def start(self) -> None:
        return None

    def step(
        self, states: Mapping[Key, None], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, None], Sequence[Finding]]:
        return {}, [self._finding(key, context) for key, context in batch]

    def _finding(self, key: Key, context: Context) -> Finding:
        event = context.event
        window = Window(event.time, event.time + MOMENT)
        return finding(self.about, key, fold(None, [context]), window, final=True, single=event.id)

    def due(self, state: None) -> datetime | None:
        return None

    def advance(self, states: Mapping[Key, None], watermark: datetime) -> tuple[Mapping[Key, None], Sequence[Finding]]:
        return {}, ()


Counts = dict[datetime, Fold]  # by the window's start


class Many:
    """With windows: three events or more of a user in ten minutes."""

    id, version, fields, state = "toy-many", "1", frozenset({"user.id"}), Counts
    about = About("toy-many", "1", "correlation", "多次 · many", "medium")
    length = TEN_MINUTES
    shape = "ten minutes"

    def initial(self) -> Sequence[Key]:
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        return () if context.untimely else _keys(context)

    def start(self) -> Counts:
        return {}

    def step(
        self, states: Mapping[Key, Counts], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Counts], Sequence[Finding]]:
        by_window: dict[tuple[Key, datetime], list[Context]] = {}
        for key, context in batch:
            by_window.setdefault((key, window_of(context.event.time, self.length).start), []).append(context)
        after = {key: dict(state) for key, state in states.items()}
        for (key, start), contexts in by_window.items():
            after[key][start] = fold(after[key].get(start), contexts)
        return after, [
            self._finding(key, start, after[key][start], final=False)
            for key, start in by_window
            if after[key][start].count >= MANY
        ]

    def _finding(self, key: Key, start: datetime, folded: Fold, *, final: bool) -> Finding:
        return finding(self.about, key, folded, Window(start, start + self.length), final=final)

    def due(self, state: Counts) -> datetime | None:
        return min(state) + self.length if state else None

    def advance(
        self, states: Mapping[Key, Counts], watermark: datetime
    ) -> tuple[Mapping[Key, Counts | None], Sequence[Finding]]:
        after: dict[Key, Counts | None] = {}
        told: list[Finding] = []
        for key, state in states.items():
            closed = sorted(start for start in state if start + self.length <= watermark)
            told += (self._finding(key, start, state[start], final=True) for start in closed if state[start].count >= MANY)
            after[key] = {start: folded for start, folded in state.items() if start not in closed} or None
        return after, told


class Graver(Many):
    """A later version of `Many` that means the same windows."""

    version = "2"
    about = About("toy-many", "2", "correlation", "多次 · many", "high")


class Longer(Many):
    """A later version of `Many` with other windows."""

    version = "2"
    about = About("toy-many", "2", "correlation", "多次 · many", "medium")
    length = 2 * TEN_MINUTES
    shape = "twenty minutes"


class Sequel(msgspec.Struct, frozen=True):
    """Events that wait for their turn, and when the password was last changed."""

    held: tuple[Context, ...] = ()
    changed: datetime | None = None


class After:
    """Cares for order: a login within the hour after a password change; takes events by (time, id) behind the watermark."""

    id, version, fields, state = "toy-after", "1", frozenset({"user.id", "event.action"}), Sequel
    about = About("toy-after", "1", "correlation", "改密后登录 · login after a change", "low")

    def initial(self) -> Sequence[Key]:
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        wanted = context.event.fields.get("event.action") in ("login", "change")
        return _keys(context) if wanted and not context.untimely else ()

    def start(self) -> Sequel:
        return Sequel()

    def step(
        self, states: Mapping[Key, Sequel], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Sequel], Sequence[Finding]]:
        held = {key: list(state.held) for key, state in states.items()}
        for key, context in batch:
            held[key].append(context)
        return {key: Sequel(tuple(held[key]), state.changed) for key, state in states.items()}, ()

    def due(self, state: Sequel) -> datetime | None:
        turns = [context.event.time + MOMENT for context in state.held]
        return min(turns, default=None if state.changed is None else state.changed + HOUR)

    def advance(
        self, states: Mapping[Key, Sequel], watermark: datetime
    ) -> tuple[Mapping[Key, Sequel | None], Sequence[Finding]]:
        after: dict[Key, Sequel | None] = {}
        told: list[Finding] = []
        for key, state in states.items():
            changed = state.changed
            order = sorted(state.held, key=lambda context: (context.event.time, context.event.id))
            for context in order:
                event = context.event
                if event.time >= watermark:
                    break
                if event.fields["event.action"] == "change":
                    changed = event.time
                elif changed is not None and event.time - changed < HOUR:
                    told.append(self._finding(key, context, changed))
            held = tuple(context for context in order if context.event.time >= watermark)
            if changed is not None and changed + HOUR <= watermark:
                changed = None
            after[key] = Sequel(held, changed) if held or changed else None
        return after, told

    def _finding(self, key: Key, context: Context, changed: datetime) -> Finding:
        event = context.event
        why = Explanation("after", str(event.time - changed), "an hour or more")
        window = Window(event.time, event.time + MOMENT)
        return finding(self.about, key, fold(None, [context]), window, final=True, single=event.id, explanation=(why,))


class KnowsNothing:
    """A ledger without entries."""

    revision = 0

    def labels(self, dataset: str) -> Sequence[Label]:
        return ()

    def grants(self, grantee: str, dataset: str) -> Sequence[Grant]:
        return ()

    def person(self, account: str) -> Person | None:
        return None


class NoRules:
    """A matcher without rules."""

    fields: frozenset[str] = frozenset()

    def match(self, batch: Sequence[Event]) -> Sequence[tuple[str, ...]]:
        return [()] * len(batch)


EXCEPTIONS = (
    ExceptionFile(
        id="known",
        reason="it is known",
        owner="toys",
        start=EPOCH,
        expires=EPOCH + HOUR,
        when={"detector": ("toy-each", "toy-after"), "entity.id": ("eve", "user-3")},
    ),
    ExceptionFile(  # the stream of a finding's first event may change while it grows
        id="of-a-stream",
        reason="it is known there",
        owner="toys",
        start=EPOCH - HOUR,
        expires=EPOCH + 9 * HOUR,
        when={"detector": "toy-many", "stream": "toys.a"},
    ),
    ExceptionFile(
        id="wide",
        reason="it was known",
        owner="toys",
        start=EPOCH - HOUR,
        expires=EPOCH,
        when={"detector": "toy-each", "entity.id": ("b*", "user-1*"), "stream": "toys.b"},
    ),
)


def road(many: Many | None = None, content: str = "toys") -> Road:
    """The toys' road: one exception covers some findings of a user, another one has expired.

    many: its version of that detector; content: what it calls itself.
    """
    return Road(
        parse=parse,
        classify=classify,
        grade=lambda spans, labels: None,
        matcher=NoRules(),
        ledger=KnowsNothing(),
        detectors={detector.id: detector for detector in (Each(), many or Many(), After())},
        grouping=ByEntityAndDay(UTC),
        system=lambda stream: "toys",
        lateness=lambda stream: LATENESS,
        revisions=Revisions(content, 0),
        exceptions=Exceptions(EXCEPTIONS, UTC),
    )
