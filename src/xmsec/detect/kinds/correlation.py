"""Sigma correlations: how many events, or how many distinct values, of one group within a timespan.

A window of the timespan slides (see `detect/recent.py`); findings are one for each tumbling bucket in which a full window
starts, with the events of all full windows that start in it, so a finding's own window is two timespans long. The field
`xmsec.subject` stands for the people (tokens of spans) that an event touches, and `xmsec.dataset` for its datasets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import islice, product
from typing import Annotated, Any, Literal

import msgspec

from xmsec.content.detectors import DetectorFile, duration
from xmsec.content.load import convert
from xmsec.detect.about import about_of
from xmsec.detect.entity import SUBJECTS, keys_of
from xmsec.detect.fold import About, finding
from xmsec.detect.recent import GRID, Full, Grid, Recent, Seen, full, grown, since
from xmsec.detect.whose import DATASET, KINDS, SUBJECT
from xmsec.model.clock import EPOCH
from xmsec.model.types import UNIT_SEPARATOR, Context, Explanation, Finding, Key, KeyKind, Window

LONGEST = timedelta(days=30)
_NAMES = Annotated[list[str], msgspec.Meta(min_length=1)]


class Rule(msgspec.Struct, frozen=True):
    """A correlation, resolved: which matches it counts, by which fields, and from how many on it holds.

    rules: ids as they stand in `Context.matches`; field: whose distinct values are counted, None for the events themselves.
    """

    about: About
    rules: frozenset[str]
    group_by: tuple[str, ...]
    timespan: timedelta
    threshold: int
    field: str | None
    spoken: str


class Correlation:
    """The detector of one correlation; keyed by its group-by fields, after the stream when none of them is an identity."""

    state = Recent

    def __init__(self, rule: Rule, zone: tzinfo) -> None:
        self.id = rule.about.id
        self.version = rule.about.version
        self.shape = _shape(rule)
        self.fields = frozenset({*rule.group_by, *([rule.field] if rule.field else [])})
        self.rules = rule.rules
        self._rule = rule
        self._kind: KeyKind = _kind(rule.group_by)
        self._whole = KINDS.keys().isdisjoint(rule.group_by)  # then it is the stream whose findings these are
        self._field = rule.group_by[0] if len(rule.group_by) == 1 and not self._whole else None
        self._grid = Grid.of(rule.timespan, EPOCH - (zone.utcoffset(EPOCH.replace(tzinfo=None)) or timedelta(0)))

    def initial(self) -> Sequence[Key]:
        """Return no keys: a correlation waits for events."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the groups of a timely event that one of the rules holds for; none when a group-by field is absent."""
        if not context.matches or self._rule.rules.isdisjoint(context.matches) or context.untimely:
            return ()
        if self._field is not None:  # the usual case: one field with one text in it
            value = context.event.fields.get(self._field)
            if type(value) is str:
                return (Key(self._kind, value),)
        values = [_values(context, field) for field in self._rule.group_by]
        if self._whole:
            values.insert(0, (context.event.stream,))
        return tuple(Key.of(self._kind, *parts) for parts in islice(product(*values), SUBJECTS))

    def start(self) -> Recent:
        """Return the state of a group that was never seen."""
        return Recent()

    def step(
        self, states: Mapping[Key, Recent], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Recent], Sequence[Finding]]:
        """Count events; a bucket in which a full window starts is told open."""
        rule = self._rule
        groups: dict[str, tuple[Key, list[Seen]]] = {}  # by value: a text's hash is kept, a key's is not
        for key, context in batch:
            seen = (context, _values(context, rule.field) if rule.field else ())
            group = groups.get(key.value)
            if group is None:
                groups[key.value] = (key, [seen])
            else:
                group[1].append(seen)
        stepped: dict[Key, Recent] = {}
        findings: list[Finding] = []
        for key, group_seen in groups.values():
            state, touched = grown(states[key], self._grid, group_seen, rule.threshold if rule.field else 0)
            buckets = touched | {bucket - 1 for bucket in touched}  # a window reaches from one bucket into the next
            findings += (self._finding(key, item, final=False) for item in self._full(state, buckets))
            stepped[key] = state
        return stepped, findings

    def due(self, state: Recent) -> datetime | None:
        """Return when the windows of the earliest bucket can grow no more."""
        return self._grid.start(state.slots[0].number // GRID + 2) if state.slots else None

    def advance(
        self, states: Mapping[Key, Recent], watermark: datetime
    ) -> tuple[Mapping[Key, Recent | None], Sequence[Finding]]:
        """Close the buckets that ended two timespans after their start, and forget their events."""
        findings: list[Finding] = []
        advanced: dict[Key, Recent | None] = {}
        still = self._grid.slot(watermark) // GRID - 1  # the first bucket whose windows may still grow
        for key, state in states.items():
            closed = {slot.number // GRID for slot in state.slots if slot.number // GRID < still}
            findings += (self._finding(key, item, final=True) for item in self._full(state, closed))
            left = since(state, still)
            advanced[key] = left if left.slots else None
        return advanced, findings

    def _full(self, state: Recent, buckets: Iterable[int]) -> list[Full]:
        return full(state, self._rule.threshold, distinct=self._rule.field is not None, buckets=buckets)

    def _finding(self, key: Key, item: Full, *, final: bool) -> Finding:
        rule = self._rule
        window = Window(self._grid.start(item.bucket), self._grid.start(item.bucket + 2))
        what = f"distinct {rule.field} in {rule.spoken}" if rule.field else f"events in {rule.spoken}"
        peak = f"≥ {item.peak}" if item.capped else str(item.peak)
        reasons = [Explanation(what, peak, f"< {rule.threshold}"), *self._group(key)]
        return finding(rule.about, key, item.fold, window, final=final, explanation=reasons)

    def _group(self, key: Key) -> list[Explanation]:
        parts = key.value.split(UNIT_SEPARATOR)
        values = parts[1:] if self._whole else parts
        if len(values) != len(self._rule.group_by):
            return []
        return [Explanation(field, value, "", 0.0) for field, value in zip(self._rule.group_by, values, strict=True)]


def _shape(rule: Rule) -> str:
    """Say what the states depend on: no slot keeps more distinct values than the threshold asks for."""
    most = rule.threshold if rule.field else 0
    return f"{rule.timespan} {rule.group_by} {rule.field} {most}"


def _kind(group_by: Sequence[str]) -> KeyKind:
    """Return the kind of key that a group is: its first identity's, or a consumer with a dataset; without any the stream's."""
    kinds = [KINDS[field] for field in group_by if field in KINDS]
    return "consumer-dataset" if kinds == ["user", "dataset"] and len(group_by) == 2 else next(iter(kinds), "stream")


def _values(context: Context, field: str) -> Sequence[str]:
    """Return an event's values of a field as texts, sorted and distinct; a log may name an identity by a field's sibling."""
    if field == SUBJECT:
        return sorted({span.token for span in context.spans})
    if field == DATASET:
        return sorted(context.event.datasets)
    value = context.event.fields.get(field)
    if value is None:
        return [key.value for key in keys_of(KINDS[field], context)] if field in KINDS else ()
    return sorted({str(item) for item in value}) if isinstance(value, list | tuple) else (str(value),)


class _Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    gte: Annotated[int, msgspec.Meta(ge=1)] | None = None
    gt: Annotated[int, msgspec.Meta(ge=0)] | None = None
    field: str | None = None


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"group_by": "group-by"}):
    type: Literal["event_count", "value_count"]
    rules: str | _NAMES
    timespan: str
    condition: _Condition
    group_by: str | list[str] = []
    generate: bool = False
    aliases: dict[str, Any] = {}


def references(file: DetectorFile) -> tuple[list[str], bool]:
    """Return the rules that a correlation names, and whether they give findings of their own too. Raises ContentError."""
    body = convert(file.document, _Body, file.body["correlation"], "$.correlation")
    return ([body.rules] if isinstance(body.rules, str) else body.rules), body.generate


def correlation_of(file: DetectorFile, ids: Mapping[str, str], zone: tzinfo) -> Correlation:
    """Make the detector that a correlation's file describes. ids: name or UUID of each loaded rule → its id in matches.

    Raises ContentError for what Sigma allows and this engine does not do, by name.
    """
    body = convert(file.document, _Body, file.body["correlation"], "$.correlation")
    threshold = _threshold(file, body.condition)
    timespan = duration(body.timespan)
    if timespan is None or timespan > LONGEST:
        raise file.error(f'timespan "{body.timespan}" is none', "$.correlation.timespan", "write 30s, 10m, 1h, up to 30d")
    if (body.condition.field is not None) != (body.type == "value_count"):
        raise file.error("value_count needs a field, and only it", "$.correlation.condition", "add or remove `field`")
    if body.aliases:
        raise file.error("aliases are not supported", "$.correlation.aliases", "map the fields under streams/ instead")
    given = (body.group_by,) if isinstance(body.group_by, str) else body.group_by
    group_by = tuple(sorted(given, key=lambda field: field not in KINDS))  # an identity first: it is whose finding this is
    names = references(file)[0]
    missing = sorted(name for name in names if name not in ids)
    if missing:
        raise file.error(f'rule "{missing[0]}" is not loaded', "$.correlation.rules", "name a rule by its name or id")
    rules = frozenset(ids[name] for name in names)
    rule = Rule(about_of(file), rules, group_by, timespan, threshold, body.condition.field, body.timespan)
    return Correlation(rule, zone)


def _threshold(file: DetectorFile, condition: _Condition) -> int:
    if (condition.gte is None) == (condition.gt is None):
        raise file.error("a correlation needs one of gte and gt", "$.correlation.condition", "write how many are too many")
    return condition.gte if condition.gte is not None else (condition.gt or 0) + 1
