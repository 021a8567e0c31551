"""The rules that are about one stream: what its values make true, and which rules follow, each combination worked out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec

from xmsec.detect.holds import Holds, View
from xmsec.detect.judge import PLAIN, Column, Held, Judge
from xmsec.detect.terms import Leaf
from xmsec.detect.verdict import Decide, Need

COMBINATIONS = 1 << 14  # remembered; a log has some hundred

True_ = tuple[Held, ...]  # what the values of an event make true, field by field


class Candidate(msgspec.Struct, frozen=True):
    """One rule: what decides it by judged parts, what it cannot do without, and what evaluates it over a whole event."""

    id: str
    decide: Decide
    need: Need | None
    holds: Holds


class _Verdict(msgspec.Struct, frozen=True):
    """Which rules hold, and which can only be told by the whole event."""

    matches: tuple[str, ...]
    open: tuple[Candidate, ...]


class Scope:
    """The rules of one stream over a judge that all streams share. leaves: the judge's parts and their places."""

    def __init__(self, rules: Sequence[Candidate], leaves: Mapping[Leaf, int], judge: Judge, fields: frozenset[str]) -> None:
        self._ask = judge.ask
        columns = {name: column for name, column in judge.columns.items() if name is not None and name in fields}
        self._columns = {name: (column.known, column) for name, column in columns.items()}
        self._lacking = [(name, column.known) for name, column in columns.items() if column.known[None]]
        self._every = judge.columns.get(None)
        self._always = [rule for rule in rules if rule.need is None]
        self._by_part: dict[int, list[Candidate]] = {}
        for rule in rules:
            for leaf in rule.need or ():
                self._by_part.setdefault(leaves[leaf], []).append(rule)
        self._verdicts: dict[True_, _Verdict] = {}

    def true(self, fields: Mapping[str, Any]) -> True_ | None:
        """Return what an event's values make true; None when some of them have to be judged first."""
        columns = self._columns
        known_all = True
        true: list[Held] = []
        for name, value in fields.items():
            if name in columns:
                known, column = columns[name]
                found = known.get(value) if type(value) in PLAIN else None
                if found is None:
                    found = self._ask(column, value)
                    if found is None:
                        known_all = False
                        continue
                if found:
                    true.append(found)
        for name, known in self._lacking:
            if name not in fields:
                true.append(known[None])
        if self._every is not None:
            among = self._among(self._every, fields)
            if among is None:
                return None
            true.append(among)
        return tuple(true) if known_all else None

    def _among(self, column: Column, fields: Mapping[str, Any]) -> Held | None:
        """Return what any value of an event makes true of the parts that look at every field."""
        found: set[int] = set()
        known_all = True
        for value in fields.values():
            one = column.known.get(value) if type(value) in PLAIN else None
            if one is None:
                one = self._ask(column, value)
            if one is None:
                known_all = False
            else:
                found.update(one)
        return tuple(sorted(found)) if known_all else None

    def told(self, true: True_ | None, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the sorted ids of the rules that hold; an event without fields matches nothing."""
        if not fields or true is None:
            return ()
        verdict = self._verdicts.get(true)
        if verdict is None:
            verdict = self._decided(true)
        if not verdict.open:
            return verdict.matches
        view = View(fields)
        more = [rule.id for rule in verdict.open if rule.holds(view)]
        return tuple(sorted((*verdict.matches, *more))) if more else verdict.matches

    def _decided(self, true: True_) -> _Verdict:
        places = set(chain.from_iterable(true))
        tried = {rule.id: rule for place in places for rule in self._by_part.get(place, ())}
        tried |= {rule.id: rule for rule in self._always}
        told = {name: tried[name].decide(places) for name in sorted(tried)}
        verdict = _Verdict(
            tuple(name for name, holds in told.items() if holds),
            tuple(tried[name] for name, holds in told.items() if holds is None),
        )
        if len(self._verdicts) >= COMBINATIONS:
            self._verdicts.clear()
        self._verdicts[true] = verdict
        return verdict
