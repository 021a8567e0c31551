"""Matches of Sigma rules become findings: one rule and entity within the rule's window is one finding with an exact count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo

import msgspec

from xmsec.content.detectors import DetectorFile
from xmsec.detect.about import about_of
from xmsec.detect.entity import KIND_BY_FIELD
from xmsec.detect.fold import About, Fold, finding, fold
from xmsec.detect.score import rank
from xmsec.detect.whose import Keys, entity_keys
from xmsec.model.clock import HOUR, window_of
from xmsec.model.ids import digest
from xmsec.model.types import Context, Event, Explanation, Finding, Key, Window

FOLDS = 24  # open findings a key; an entity with more is beyond what a person reads one by one
WHOLE = 12  # of them keep all their evidence, the others one event: about 64 KiB with events of 500 bytes
_MOMENT = timedelta(microseconds=1)
Why = Callable[[str, Event], tuple[Explanation, ...]]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One open finding of a key: rule, window, and what its events fold to."""

    rule: str
    start: datetime
    end: datetime
    fold: Fold


class Matched(msgspec.Struct, frozen=True):
    """The open findings of a key, by (window, rule). At most 64 KiB: see `FOLDS` and `WHOLE`."""

    entries: tuple[Entry, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """What a rule's file says of its findings."""

    about: About
    keys: Keys
    window: timedelta


class SigmaFold:
    """One detector for all rules of a deployment; a rule that only feeds correlations is not among them.

    rules: what each rule says of its findings, by the id that stands in `Context.matches`; why: what made a rule hold.
    """

    id = "sigma"
    state = Matched
    shape = ""  # each entry holds its rule and its window

    def __init__(self, rules: Mapping[str, Told], why: Why, fields: frozenset[str], zone: tzinfo) -> None:
        self.version = digest(*(f"{name} {rules[name].about.version}" for name in sorted(rules)))[:8]
        self.fields = fields | frozenset(KIND_BY_FIELD)
        self.rules = frozenset(rules)
        self._rules = rules
        self._why = why
        self._zone = zone

    def initial(self) -> Sequence[Key]:
        """Return no keys: a rule waits for events."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the entities of the rules that hold."""
        if not context.matches:
            return ()
        found = [key for name in context.matches if name in self._rules for key in self._rules[name].keys(context)]
        return tuple(dict.fromkeys(found))

    def start(self) -> Matched:
        """Return no open findings."""
        return Matched()

    def step(
        self, states: Mapping[Key, Matched], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Matched], Sequence[Finding]]:
        """Fold matches into their rule's window; what grew is told open, an untimely match is told by itself."""
        findings: list[Finding] = []
        fresh: dict[Key, dict[tuple[datetime, str], list[Context]]] = {}
        for key, context in batch:
            for name in context.matches:
                told = self._rules.get(name)
                if told is None or key not in told.keys(context):
                    continue
                if context.untimely:
                    findings.append(self._alone(name, key, context))
                else:
                    start = window_of(context.event.time, told.window, self._zone).start
                    fresh.setdefault(key, {}).setdefault((start, name), []).append(context)
        stepped = {}
        for key, contexts in fresh.items():
            entries = self._grown(states[key], contexts)
            findings += (self._finding(key, entries[place], final=False) for place in contexts)
            kept, dropped = self._bounded(entries)
            findings += (self._finding(key, entry, final=True) for entry in dropped)
            stepped[key] = Matched(kept)
        return stepped, findings

    def due(self, state: Matched) -> datetime | None:
        """Return when the next window closes."""
        return min((entry.end for entry in state.entries), default=None)

    def advance(
        self, states: Mapping[Key, Matched], watermark: datetime
    ) -> tuple[Mapping[Key, Matched | None], Sequence[Finding]]:
        """Close the windows that ended."""
        findings: list[Finding] = []
        advanced: dict[Key, Matched | None] = {}
        for key, state in states.items():
            findings += (self._finding(key, entry, final=True) for entry in state.entries if entry.end <= watermark)
            left = tuple(entry for entry in state.entries if entry.end > watermark)
            advanced[key] = Matched(left) if left else None
        return advanced, findings

    def _grown(
        self, state: Matched, fresh: Mapping[tuple[datetime, str], Sequence[Context]]
    ) -> dict[tuple[datetime, str], Entry]:
        entries = {(entry.start, entry.rule): entry for entry in state.entries}
        for (start, name), contexts in fresh.items():
            before = entries.get((start, name))
            end = start + self._rules[name].window
            entries[start, name] = Entry(name, start, end, fold(before.fold if before else None, contexts))
        return entries

    def _bounded(self, entries: Mapping[tuple[datetime, str], Entry]) -> tuple[tuple[Entry, ...], Sequence[Entry]]:
        """Keep the gravest (then earliest) and the evidence of the gravest among them; only an overrun depends on order."""
        ordered = [entries[place] for place in sorted(entries)]
        if len(ordered) <= WHOLE:
            return tuple(ordered), ()
        ranked = sorted(ordered, key=self._gravity)
        thinned = [
            entry if place < WHOLE else msgspec.structs.replace(entry, fold=_thinned(entry.fold))
            for place, entry in enumerate(ranked[:FOLDS])
        ]
        return tuple(sorted(thinned, key=lambda entry: (entry.start, entry.rule))), ranked[FOLDS:]

    def _gravity(self, entry: Entry) -> tuple[int, datetime, str]:
        told = self._rules.get(entry.rule)
        return (0 if told is None else -rank(told.about.severity), entry.start, entry.rule)

    def _finding(self, key: Key, entry: Entry, *, final: bool) -> Finding:
        told = self._rules.get(entry.rule)
        about = told.about if told is not None else _gone(entry.rule)
        explanation = self._why(entry.rule, entry.fold.evidence[0])
        return finding(about, key, entry.fold, Window(entry.start, entry.end), final=final, explanation=explanation)

    def _alone(self, name: str, key: Key, context: Context) -> Finding:
        time = context.event.time
        return finding(
            self._rules[name].about,
            key,
            fold(None, [context]),
            Window(time, time + _MOMENT),
            final=True,
            explanation=self._why(name, context.event),
            single=context.event.id,
        )


def _thinned(folded: Fold) -> Fold:
    return msgspec.structs.replace(folded, evidence=folded.evidence[:1])


def _gone(rule: str) -> About:
    """Stand in for a rule that was removed while its finding was open: it is still told when its window closes."""
    return About(rule, "", "sigma", f"规则已移除 · Rule removed: {rule}", "informational")


def told_of(file: DetectorFile) -> Told:
    """Return what a Sigma rule's file says of its findings. Raises ContentError."""
    return Told(about_of(file), entity_keys(file), file.window or HOUR)
