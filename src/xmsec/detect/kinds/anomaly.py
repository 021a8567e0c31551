"""Anomalies: an entity's windows, scored by a trained model when they close.

A state is at most 16 KiB a window that is open: a tally (8 KiB) and a fold (8 KiB).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from pathlib import Path

import msgspec

from xmsec.content.recipes import Recipe
from xmsec.detect.entity import KIND_BY_FIELD, keys_of
from xmsec.detect.explain import explain
from xmsec.detect.features import READS, Calendar, Tally, tally, values
from xmsec.detect.fold import About, Fold, finding, fold
from xmsec.detect.model import Model
from xmsec.detect.modelfile import load, newest
from xmsec.model.errors import ConfigError
from xmsec.model.ids import digest
from xmsec.model.types import LEVELS, SEVERITIES, Context, Finding, Key, Severity, Window

GRAVE = LEVELS.index("general-4")  # from here on a finding is one level more severe than its recipe says


class Open(msgspec.Struct, frozen=True):
    """One window of an entity that has not closed: what was counted, and what a finding would need."""

    start: datetime
    tally: Tally
    fold: Fold


class Windows(msgspec.Struct, frozen=True):
    """An entity's open windows, the earliest first."""

    open: tuple[Open, ...] = ()


class Anomaly:
    """One recipe with its model: tells the windows that the model calls unusual, explained by features."""

    state = Windows

    def __init__(self, recipe: Recipe, model: Model, zone: tzinfo) -> None:
        self.id = recipe.id
        self.version = digest(recipe.version, model.version)[:8]
        self.shape = f"{recipe.entity} {recipe.window} {recipe.hours}"
        self.model = model
        self._recipe = recipe
        self._kind = KIND_BY_FIELD[recipe.entity]
        self.fields = READS | {field for field, kind in KIND_BY_FIELD.items() if kind == self._kind}
        self._length = recipe.length
        self._calendar = Calendar(recipe.length, recipe.hours, zone)
        self._about = About(self.id, self.version, "anomaly", recipe.label, recipe.severity, recipe.controls, recipe.playbooks)

    def initial(self) -> Sequence[Key]:
        """No entity exists before its first event."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return the entity of an event; late, far-future and rejected events have none."""
        flags = context.event.flags
        if context.late or (flags and ("far_future" in flags or "rejected" in flags)):
            return ()
        return keys_of(self._kind, context)

    def start(self) -> Windows:
        """No window is open at first."""
        return Windows()

    def step(
        self, states: Mapping[Key, Windows], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Windows], Sequence[Finding]]:
        """Fold events into their windows; what they mean is only told when these close."""
        groups: dict[str, dict[datetime, tuple[list[Context], list[bool]]]] = {}
        keys: dict[str, Key] = {}
        slot_of = self._calendar.slot
        for key, context in batch:
            slot = slot_of(context.event.time)
            windows = groups.get(key.value)
            if windows is None:
                windows = groups[key.value] = {}
                keys[key.value] = key
            group = windows.get(slot.start)
            if group is None:
                group = windows[slot.start] = ([], [])
            group[0].append(context)
            group[1].append(slot.off_hours)
        return {key: _folded(states[key], groups[value]) for value, key in keys.items()}, ()

    def due(self, state: Windows) -> datetime | None:
        """Return when the earliest window ends."""
        return state.open[0].start + self._length if state.open else None

    def advance(
        self, states: Mapping[Key, Windows], watermark: datetime
    ) -> tuple[Mapping[Key, Windows | None], Sequence[Finding]]:
        """Close the windows that ended and score them all in one call."""
        touched: dict[Key, Windows | None] = {}
        closed: list[tuple[Key, Open]] = []
        for key, state in states.items():
            ended = [window for window in state.open if window.start + self._length <= watermark]
            if ended:
                closed += ((key, window) for window in ended)
                touched[key] = Windows(state.open[len(ended) :]) if len(ended) < len(state.open) else None
        return touched, self._judge(sorted(closed, key=lambda place: (place[0], place[1].start)))

    def _judge(self, closed: Sequence[tuple[Key, Open]]) -> list[Finding]:
        """Return what the model has to say of closed windows."""
        measured = [(place, values(place[1].tally, self.model.metadata.features)) for place in closed]
        judged = [one for one in measured if self._recipe.judges(one[1])]
        if not judged:
            return []
        closed, raw = [place for place, _ in judged], [row for _, row in judged]
        entities = [key.value for key, _ in closed]
        rows = self.model.rows(entities, raw)
        told = self.model.unusual(entities, raw, rows).nonzero()[0].tolist()
        reasons = explain(self.model, [entities[at] for at in told], [raw[at] for at in told], rows[told])
        return [
            finding(
                self._about,
                closed[at][0],
                closed[at][1].fold,
                Window(closed[at][1].start, closed[at][1].start + self._length),
                final=True,
                explanation=reason,
                severity=self._severity(closed[at][1].fold),
            )
            for at, reason in zip(told, reasons, strict=True)
        ]

    def _severity(self, folded: Fold) -> Severity:
        """Return the recipe's severity, one level up when the data was graded general-4 or graver."""
        severity = self._about.severity
        if folded.grade is None or LEVELS.index(folded.grade) < GRAVE:
            return severity
        return SEVERITIES[min(SEVERITIES.index(severity) + 1, len(SEVERITIES) - 1)]


def _folded(state: Windows, groups: Mapping[datetime, tuple[list[Context], list[bool]]]) -> Windows:
    """Return the windows with events added, each to its own."""
    windows = {window.start: window for window in state.open}
    for start, (contexts, off_hours) in groups.items():
        before = windows.get(start)
        windows[start] = Open(
            start,
            tally(before.tally if before else Tally(), contexts, sum(off_hours)),
            fold(before.fold if before else None, contexts),
        )
    return Windows(tuple(windows[start] for start in sorted(windows)))


class Anomalies(msgspec.Struct, frozen=True):
    """The recipes that have a model, as detectors, and one line for each that has none, for coverage to tell."""

    detectors: tuple[Anomaly, ...]
    missing: tuple[str, ...]


def load_anomalies(recipes: Iterable[Recipe], folder: Path, zone: tzinfo) -> Anomalies:
    """Load the newest model of each recipe from `folder/<id>/`; a damaged one is missing, and its line says why."""
    detectors: list[Anomaly] = []
    missing: list[str] = []
    for recipe in sorted(recipes, key=lambda each: each.id):
        try:
            path = newest(folder / recipe.id, recipe.digest, str(zone))
            if path is None:
                missing.append(f"no model for {recipe.id}: train it with `xmsec detectors train {recipe.id}`")
            else:
                detectors.append(Anomaly(recipe, load(path), zone))
        except ConfigError as error:
            missing.append(f"no model for {recipe.id}: {error}")
    return Anomalies(tuple(detectors), tuple(missing))
