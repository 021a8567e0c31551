"""Use that no grant covers: `type: contract` compares what an account does with what the ledger grants it.

```yaml
type: contract
selection: {event.action: export}   # optional, Sigma's detection syntax: which events are use; default: every event
filter: {user.roles: citizen}       # optional, the same syntax: which of them are not
breach: [none, expired]             # or one of them. none: nothing was ever granted; expired: it was, but not for this moment;
                                    # fields: it is, but not these fields
from_grade: general-2               # optional: datasets of a lower grade are open to all
entity: user.id                     # optional; a window (default 1d) and entity is one finding
```

Protected is a dataset that the ledger lists with a grade, from `from_grade` on: what the ledger does not know is no breach
(how much it knows is another question), and general-1 is public. Its owner needs a grant too. An event that names no account
(`user.id`, `user.name`) cannot be compared, and is not judged here: where citizens log in, a selection names the staff's side.
Which fields an event reads stands in `xmsec.fields`, a list or a text with commas; an event without it says nothing about
fields. With several datasets in one event a field is granted when a valid grant on one of them covers it. A grant of the future
counts as expired: granted, not for this moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Literal

import msgspec

from xmsec.content.detectors import DetectorFile
from xmsec.content.load import convert
from xmsec.detect.about import about_of
from xmsec.detect.fold import About, Fold, finding, fold
from xmsec.detect.whose import Keys, entity_keys
from xmsec.ledger.grant import covers, valid
from xmsec.model.clock import DAY, rfc3339, window_of
from xmsec.model.types import LEVELS, Context, Explanation, Finding, Grant, Key, Level, Window

Breach = Literal["none", "expired", "fields"]
FIELDS = "xmsec.fields"
REASONS = 16  # the first in alphabetical order, so that order has no say
SELECTION = "contract:"  # before a detector's id: the rule of its selection, as it stands in Context.matches
_MOMENT = timedelta(microseconds=1)

Reason = tuple[str, str, str]  # what, value, usual


class Terms(msgspec.Struct, frozen=True):
    """What a contract's file says. rule: of its selection and filter in `Context.matches`; None: every event."""

    breaches: tuple[Breach, ...]
    rule: str | None = None
    window: timedelta = DAY
    protected_from: Level = "general-2"


class Open(msgspec.Struct, frozen=True):
    """One window that is not closed: its events and why they are breaches. At most 12 KiB."""

    window: Window
    fold: Fold
    reasons: tuple[Reason, ...]


class Breaches(msgspec.Struct, frozen=True):
    """The open windows of an entity, in order: one or two, when event time flows."""

    open: tuple[Open, ...] = ()


class Contract:
    """One contract detector; keyed by its entity, the user unless its file says otherwise."""

    state = Breaches

    def __init__(self, about: About, terms: Terms, entity: Keys, zone: tzinfo) -> None:
        self.id, self.version = about.id, about.version
        self.shape = str(terms.window)
        self.fields = frozenset(("user.id", "user.name", *((FIELDS,) if "fields" in terms.breaches else ())))
        self.rules = None if terms.rule is None else frozenset({terms.rule})
        self._about, self._terms, self._entity, self._zone = about, terms, entity, zone
        self._of_whole = "fields" not in terms.breaches  # a valid grant on each dataset settles it
        self._grave = frozenset(LEVELS[LEVELS.index(terms.protected_from) :])

    def initial(self) -> Sequence[Key]:
        """Return no key: a contract waits for use."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the entity of an event that is use of a graded dataset by a named account."""
        rule = self._terms.rule
        if not context.labels or (rule is not None and rule not in context.matches) or "rejected" in context.event.flags:
            return ()
        fields = context.event.fields
        return self._entity(context) if fields.get("user.id") or fields.get("user.name") else ()

    def start(self) -> Breaches:
        """Return no breach."""
        return Breaches()

    def step(
        self, states: Mapping[Key, Breaches], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Breaches], Sequence[Finding]]:
        """Fold breaches into their windows, told open; an untimely one is a finding of its own."""
        findings: list[Finding] = []
        fresh: dict[Key, dict[Window, list[tuple[Context, list[Reason]]]]] = {}
        for key, context in batch:
            reasons = self._judge(context)
            if not reasons:
                continue
            if context.untimely:
                findings.append(self._alone(key, context, reasons))
            else:
                window = window_of(context.event.time, self._terms.window, self._zone)
                fresh.setdefault(key, {}).setdefault(window, []).append((context, reasons))
        stepped: dict[Key, Breaches] = {}
        for key, by_window in fresh.items():
            entries = {entry.window: entry for entry in states[key].open}
            for window, breaches in by_window.items():
                entries[window] = _grown(entries.get(window), window, breaches)
                findings.append(self._finding(key, entries[window], final=False))
            stepped[key] = Breaches(tuple(entries[window] for window in sorted(entries)))
        return stepped, findings

    def due(self, state: Breaches) -> datetime | None:
        """Return when the first window closes."""
        return min((entry.window.end for entry in state.open), default=None)

    def advance(
        self, states: Mapping[Key, Breaches], watermark: datetime
    ) -> tuple[Mapping[Key, Breaches | None], Sequence[Finding]]:
        """Close the windows that ended."""
        advanced: dict[Key, Breaches | None] = {}
        findings: list[Finding] = []
        for key, state in states.items():
            left = tuple(entry for entry in state.open if entry.window.end > watermark)
            findings += (self._finding(key, it, final=True) for it in state.open if it.window.end <= watermark)
            advanced[key] = Breaches(left) if left else None
        return advanced, findings

    def _judge(self, context: Context) -> list[Reason]:
        """Return why an event is a breach; nothing when it is none."""
        protected = {label.dataset for label in context.labels if label.grade in self._grave}
        if not protected or (self._of_whole and _granted(context, protected)):
            return []
        datasets = sorted(protected)
        return [reason for breach in self._terms.breaches for reason in _REASONS[breach](context, datasets)]

    def _finding(self, key: Key, entry: Open, *, final: bool) -> Finding:
        return finding(self._about, key, entry.fold, entry.window, final=final, explanation=_explain(entry.reasons))

    def _alone(self, key: Key, context: Context, reasons: Sequence[Reason]) -> Finding:
        time = context.event.time
        return finding(
            self._about,
            key,
            fold(None, [context]),
            Window(time, time + _MOMENT),
            final=True,
            explanation=_explain(_least(reasons)),
            single=context.event.id,
        )


def _granted(context: Context, datasets: Iterable[str]) -> bool:
    """Whether each dataset has a valid grant: what nearly every event says, so it is asked first."""
    time = context.event.time
    for dataset in datasets:
        for grant in context.grants:
            if covers(grant, dataset) and valid(grant, time):
                break
        else:
            return False
    return True


def _none(context: Context, datasets: Sequence[str]) -> Iterator[Reason]:
    for dataset in datasets:
        if not any(covers(grant, dataset) for grant in context.grants):
            yield "grant", f"none on {dataset}", "a grant on every dataset that is used"


def _expired(context: Context, datasets: Sequence[str]) -> Iterator[Reason]:
    for dataset in datasets:
        granted = [grant for grant in context.grants if covers(grant, dataset)]
        if granted and not any(valid(grant, context.event.time) for grant in granted):
            for grant in granted:
                yield f"grant on {dataset}", _span(grant), "a grant that is valid when data is used"


def _fields(context: Context, datasets: Sequence[str]) -> Iterator[Reason]:
    read = _read(context)
    grants = [grant for grant in context.grants if valid(grant, context.event.time)]
    grants = [grant for grant in grants if any(covers(grant, dataset) for dataset in datasets)]
    if not read or not grants or not all(grant.fields for grant in grants):
        return
    granted = {field for grant in grants for field in grant.fields}
    usual = f"{', '.join(sorted(granted))} ({', '.join(sorted({grant.id for grant in grants}))})"
    for field in read:
        if field not in granted:
            yield "field", field, usual


_REASONS: dict[Breach, Callable[[Context, Sequence[str]], Iterator[Reason]]] = {
    "none": _none,
    "expired": _expired,
    "fields": _fields,
}


def _read(context: Context) -> list[str]:
    value = context.event.fields.get(FIELDS)
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return sorted({str(part).strip() for part in parts} - {""})


def _span(grant: Grant) -> str:
    return f"{grant.id}, from {rfc3339(grant.start)}" + (f" until {rfc3339(grant.end)}" if grant.end else "")


def _grown(before: Open | None, window: Window, breaches: Sequence[tuple[Context, list[Reason]]]) -> Open:
    reasons = {reason for _, found in breaches for reason in found}
    contexts = [context for context, _ in breaches]
    if before is None:
        return Open(window, fold(None, contexts), _least(reasons))
    return Open(window, fold(before.fold, contexts), _least(reasons.union(before.reasons)))


def _least(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    return tuple(sorted(set(reasons))[:REASONS])


def _explain(reasons: Sequence[Reason]) -> tuple[Explanation, ...]:
    return tuple(Explanation(what, value, usual, round(1 / len(reasons), 3)) for what, value, usual in reasons)


Detection = dict[str, object] | list[object]


class _Body(msgspec.Struct, frozen=True):
    breach: str | tuple[str, ...]
    selection: Detection | None = None
    filter: Detection | None = None
    from_grade: Level = "general-2"


def contract_of(file: DetectorFile, zone: tzinfo) -> Contract:
    """Make the detector that a file describes. Raises ContentError with the line."""
    body = convert(file.document, _Body)
    named = (body.breach,) if isinstance(body.breach, str) else body.breach
    known: dict[str, Breach] = {"none": "none", "expired": "expired", "fields": "fields"}
    for breach in named or ("",):
        if breach not in known:
            raise file.error(f'breach "{breach}" is not covered yet', "$.breach", f"write {', '.join(known)}")
    rule = None if body.selection is None and body.filter is None else SELECTION + file.id
    terms = Terms(tuple(known[breach] for breach in named), rule, file.window or DAY, body.from_grade)
    return Contract(about_of(file), terms, entity_keys(file), zone)


def selection_of(file: DetectorFile) -> DetectorFile | None:
    """Return a contract's selection and filter as a Sigma rule for the matcher; None when every event is use."""
    parts = {name: file.body[name] for name in ("selection", "filter") if file.body.get(name) is not None}
    if file.type != "contract" or not parts:
        return None
    condition = " and ".join("not filter" if name == "filter" else name for name in parts)
    body = {"title": file.title, "logsource": {"category": "contract"}, "detection": {**parts, "condition": condition}}
    rule = SELECTION + file.id
    return msgspec.structs.replace(file, id=rule, rule=rule, type="sigma", body=body)
