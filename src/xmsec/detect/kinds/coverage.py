"""What was not seen: `type: coverage` says, a stream and local day, what was rejected, not tokenised, or asked for and missing.

```yaml
type: coverage
rejected: {title: {zh: 记录被拒收, en: Records rejected}}             # its severity follows the share, see `SHARES`
untokenised: {title: {zh: …, en: …}, severity: medium}               # fields that were replaced whole
missing_field: {title: {zh: …, en: …}, severity: informational}      # fields that a detector reads and no event carried
```

All three are optional. Their findings are those of the detectors `coverage-rejected`, `coverage-untokenised` and
`coverage-missing-field`: open from the first record on (missing fields: never), final when the day closes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo

import msgspec

from xmsec.content.detectors import DetectorFile, Title
from xmsec.content.load import convert
from xmsec.detect.about import about_of
from xmsec.detect.fold import About, Fold, finding, fold
from xmsec.detect.score import risk
from xmsec.model.clock import DAY, window_of
from xmsec.model.ids import finding_id
from xmsec.model.types import Context, Entity, Explanation, Finding, Key, Severity, Window

SHARES: tuple[tuple[float, Severity], ...] = ((0.01, "informational"), (0.05, "low"), (1.0, "medium"))  # below; all of it: high
NAMES = 32  # reasons or fields that are counted by name, the first in alphabetical order, so that order has no say
REJECTED, UNTOKENISED = "rejected", "untokenised:"
_REASON = frozenset(("event.kind", "error.code", "error.type"))


class Sorts(msgspec.Struct, frozen=True):
    """What is told, and how: None leaves a sort out."""

    rejected: About | None = None
    untokenised: About | None = None
    missing_field: About | None = None


class Day(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stream's local day. events: all; seen: fields that are asked for and were carried. At most 20 KiB."""

    window: Window
    first: datetime
    last: datetime
    events: int
    rejected: Fold | None = None
    reasons: dict[str, int] = {}
    untokenised: Fold | None = None
    replaced: dict[str, int] = {}
    seen: frozenset[str] = frozenset()


class Days(msgspec.Struct, frozen=True):
    """A stream's days that are not closed, in order: one or two, when event time flows."""

    days: tuple[Day, ...] = ()


class _Group(msgspec.Struct, frozen=True):
    """A batch's events of one stream and day. flagged: those about which there is anything to say."""

    window: Window
    first: datetime
    last: datetime
    contexts: Sequence[Context]
    flagged: Sequence[Context]


class Coverage:
    """The detector of what was not seen; keyed by stream.

    asked: stream → fields that the loaded detectors read of it, beyond what any other event brings.
    """

    state = Days
    shape = ""  # days are days

    def __init__(self, about: About, sorts: Sorts, asked: Mapping[str, frozenset[str]], zone: tzinfo) -> None:
        self.id, self.version = about.id, about.version
        self._sorts = sorts
        self._asked = dict(asked) if sorts.missing_field else {}
        self._zone = zone
        self.fields = _REASON.union(*self._asked.values())
        self._keys: dict[str, tuple[Key, ...]] = {}

    def initial(self) -> Sequence[Key]:
        """Return no key: a day without any event is silence, not coverage."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the event's stream, for rejected records too; late and far-future ones are left."""
        event = context.event
        if context.late or (event.flags and "far_future" in event.flags):
            return ()
        keys = self._keys.get(event.stream)
        if keys is None:
            keys = self._keys[event.stream] = (Key("stream", event.stream),)
        return keys

    def start(self) -> Days:
        """Return the state of a stream without an open day."""
        return Days()

    def step(
        self, states: Mapping[Key, Days], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Days], Sequence[Finding]]:
        """Count events into their days; tell, open, the days in which something was not seen."""
        by_stream: dict[str, tuple[Key, list[Context]]] = {}  # by name: a text's hash is kept, a key's is not
        for key, context in batch:
            known = by_stream.get(context.event.stream)
            if known is None:
                by_stream[context.event.stream] = (key, [context])
            else:
                known[1].append(context)
        stepped: dict[Key, Days] = {}
        findings: list[Finding] = []
        for key, contexts in by_stream.values():
            days = {day.window: day for day in states[key].days}
            for group in self._by_day(contexts):
                day = days[group.window] = self._count(days.get(group.window), group)
                if group.flagged:
                    findings += self._flagged(key, day, final=False)
            stepped[key] = Days(tuple(days[window] for window in sorted(days)))
        return stepped, findings

    def due(self, state: Days) -> datetime | None:
        """Return when the earliest open day ends."""
        return min((day.window.end for day in state.days), default=None)

    def advance(self, states: Mapping[Key, Days], watermark: datetime) -> tuple[Mapping[Key, Days | None], Sequence[Finding]]:
        """Close the days that ended."""
        advanced: dict[Key, Days | None] = {}
        findings: list[Finding] = []
        for key, state in states.items():
            left = tuple(day for day in state.days if day.window.end > watermark)
            for day in state.days:
                if day.window.end <= watermark:
                    findings += self._flagged(key, day, final=True)
                    findings += self._missing(key, day)
            advanced[key] = Days(left) if left else None
        return advanced, findings

    def _by_day(self, contexts: Sequence[Context]) -> list[_Group]:
        """Divide a batch at midnights: events come nearly in order, so a day is looked up only where it changes."""
        times = [context.event.time for context in contexts]
        first, last = min(times), max(times)
        window = window_of(first, DAY, self._zone)
        if last < window.end:
            return [_Group(window, first, last, contexts, [context for context in contexts if context.event.flags])]
        days: dict[Window, list[Context]] = {}
        day = days[window] = []
        for time, context in zip(times, contexts, strict=True):
            if not window.start <= time < window.end:
                window = window_of(time, DAY, self._zone)
                day = days.setdefault(window, [])
            day.append(context)
        return [group for window in sorted(days) for group in self._by_day(days[window])]

    def _count(self, day: Day | None, group: _Group) -> Day:
        if day is None:
            day = Day(group.window, group.first, group.last, 0)
        rejected = [context for context in group.flagged if REJECTED in context.event.flags]
        names_by_event = [_replaced(context.event.flags) for context in group.flagged]
        blinded = [context for context, names in zip(group.flagged, names_by_event, strict=True) if names]
        return Day(
            day.window,
            min(day.first, group.first),
            max(day.last, group.last),
            day.events + len(group.contexts),
            fold(day.rejected, rejected) if rejected else day.rejected,
            _tally(day.reasons, map(_reason, rejected)),
            fold(day.untokenised, blinded) if blinded else day.untokenised,
            _tally(day.replaced, (name for names in names_by_event for name in names)),
            self._see(day.seen, group.contexts),
        )

    def _see(self, seen: frozenset[str], group: Sequence[Context]) -> frozenset[str]:
        """Add the fields that are asked for and carried; once all were seen it costs nothing."""
        pending = set(self._asked.get(group[0].event.stream, ()))
        pending -= seen
        if not pending:
            return seen
        found: set[str] = set()
        for context in group:
            names = context.event.fields.keys()
            if not names.isdisjoint(pending) and REJECTED not in context.event.flags:
                found |= pending & names
                pending -= found
                if not pending:
                    break
        return seen | found if found else seen

    def _flagged(self, key: Key, day: Day, *, final: bool) -> Iterable[Finding]:
        about = self._sorts.rejected
        if about is not None and day.rejected is not None:
            share = f"{day.rejected.count / day.events:.2%} ({day.rejected.count} of {day.events})"
            why = (
                Explanation("share of records rejected", share, "0 %"),
                *_counts("records rejected: ", day.reasons, day.rejected.count),
            )
            severity = _severity(day.rejected.count, day.events)
            yield finding(about, key, day.rejected, day.window, final=final, explanation=why, severity=severity)
        about = self._sorts.untokenised
        if about is not None and day.untokenised is not None:
            why = tuple(_counts("fields replaced whole: ", day.replaced, day.untokenised.count))
            yield finding(about, key, day.untokenised, day.window, final=final, explanation=why)

    def _missing(self, key: Key, day: Day) -> Iterable[Finding]:
        """Say which fields no readable event of a day carried; a day without readable events says so by its rejects."""
        about = self._sorts.missing_field
        missing = sorted(self._asked.get(key.value, frozenset()) - day.seen)
        readable = day.events - (day.rejected.count if day.rejected else 0)
        if about is None or not missing or not readable:
            return
        why = [Explanation(name, f"in none of {readable} events", "read by a detector", 1 / len(missing)) for name in missing]
        yield Finding(
            id=finding_id(about.id, key, day.window.start),
            time=day.last,
            first_seen=day.first,
            detector=about.id,
            version=about.version,
            kind=about.kind,
            title=about.title,
            severity=about.severity,
            risk=risk(about.severity, None, 1),
            system=key.value.partition(".")[0],
            stream=key.value,
            entity=Entity(key.kind, key.value),
            count=readable,
            window=day.window,
            state="final",
            explanation=tuple(why[:NAMES]),
            controls=about.controls,
            playbooks=about.playbooks,
        )


class _Sort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: Title
    severity: Severity | None = None


class _Body(msgspec.Struct, frozen=True):
    rejected: _Sort | None = None
    untokenised: _Sort | None = None
    missing_field: _Sort | None = None


def coverage_of(file: DetectorFile, asked: Mapping[str, frozenset[str]], zone: tzinfo) -> Coverage:
    """Make the detector that a file describes. Raises ContentError with the line."""
    body = convert(file.document, _Body)
    sorts = Sorts(
        _about(file, "rejected", body.rejected),
        _about(file, "untokenised", body.untokenised),
        _about(file, "missing-field", body.missing_field),
    )
    return Coverage(about_of(file), sorts, asked, zone)


def _about(file: DetectorFile, name: str, sort: _Sort | None) -> About | None:
    if sort is None:
        return None
    title = f"{sort.title.zh} · {sort.title.en}"
    return about_of(file, name=f"{file.id}-{name}", title=title, severity=sort.severity)


def _severity(rejected: int, events: int) -> Severity:
    return next((severity for below, severity in SHARES if rejected < below * events), "high")


def _replaced(flags: Sequence[str]) -> list[str]:
    return [flag[len(UNTOKENISED) :] for flag in flags if flag.startswith(UNTOKENISED)]


def _reason(context: Context) -> str:
    fields = context.event.fields
    return f"{fields.get('error.code', '')}:{fields.get('error.type', '')}"


def _tally(before: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """Count names, keeping the alphabetically first: a name that is kept in the end was never left out, so it is exact."""
    counts = Counter(names)
    if not counts:
        return before
    counts.update(before)
    return {name: counts[name] for name in sorted(counts)[:NAMES]}


def _counts(what: str, counts: Mapping[str, int], total: int) -> Iterable[Explanation]:
    for name, number in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        yield Explanation(f"{what}{name}", str(number), "0", number / total)
