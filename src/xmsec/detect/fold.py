"""Events of one entity and window folded into what a finding needs, independent of their order.

A fold holds at most 5 events and 20 ids (about 8 KiB), the earliest by (time, id), and exact counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

import msgspec

from xmsec.detect.score import graver, risk
from xmsec.model.ids import finding_id
from xmsec.model.types import (
    Context,
    Entity,
    Event,
    Explanation,
    Finding,
    FindingKind,
    Key,
    Level,
    Severity,
    Stage,
    Window,
)

EVENTS = 20
EVIDENCE = 5
LABELS = 32
_place = attrgetter("time", "id")


class Fold(msgspec.Struct, frozen=True, gc=False):
    """What is remembered of the events that belong to one finding."""

    count: int
    first: datetime
    last: datetime
    ids: tuple[tuple[datetime, str], ...]
    evidence: tuple[Event, ...]
    grade: Level | None = None
    labels: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


class About(msgspec.Struct, frozen=True):
    """The part of a finding that its detector's content fixes."""

    id: str
    version: str
    kind: FindingKind
    title: str
    severity: Severity
    controls: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()


def fold(before: Fold | None, contexts: Sequence[Context]) -> Fold:
    """Add events to a fold; any order and any batching give the same fold. `contexts` must not be empty."""
    order = [contexts[0].event] if len(contexts) == 1 else sorted((context.event for context in contexts), key=_place)
    ids = tuple([(event.time, event.id) for event in order[:EVENTS]])
    heads = tuple(order[:EVIDENCE])
    grade: Level | None = None
    labels: set[str] = set()
    datasets: set[str] = set()
    for context in contexts:
        if context.grade is not None:
            grade = graver(grade, context.grade.level)
        for span in context.spans:
            labels.add(span.type)
        if context.event.datasets:
            datasets.update(context.event.datasets)
    if before is None:
        return Fold(len(order), order[0].time, order[-1].time, ids, heads, grade, _least(labels), _least(datasets))
    if before.ids and ids[0] > before.ids[-1]:  # the usual case: they come after all that is kept
        ids = (*before.ids, *ids)[:EVENTS]
        heads = before.evidence if len(before.evidence) == EVIDENCE else (*before.evidence, *heads)[:EVIDENCE]
    else:
        ids = tuple(sorted({*before.ids, *ids})[:EVENTS])
        heads = tuple(sorted((*before.evidence, *heads), key=_place)[:EVIDENCE])
    return Fold(
        before.count + len(order),
        min(before.first, order[0].time),
        max(before.last, order[-1].time),
        ids,
        heads,
        graver(before.grade, grade),
        _least(labels.union(before.labels)) if labels else before.labels,
        _least(datasets.union(before.datasets)) if datasets else before.datasets,
    )


def _least(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names)[:LABELS])


def finding(
    about: About,
    key: Key,
    folded: Fold,
    window: Window,
    *,
    final: bool,
    explanation: Sequence[Explanation] = (),
    severity: Severity | None = None,
    single: str | None = None,
) -> Finding:
    """Say what a fold means under its detector; single: the id of the one event that a finding without window rests on."""
    first = folded.evidence[0]
    graveness = severity or about.severity
    stage: Stage | None = first.stage
    return Finding(
        id=finding_id(about.id, key, single or window.start),
        time=folded.last,
        first_seen=folded.first,
        detector=about.id,
        version=about.version,
        kind=about.kind,
        title=about.title,
        severity=graveness,
        risk=risk(graveness, folded.grade, folded.count),
        system=first.system,
        stream=first.stream,
        stage=stage,
        entity=Entity(key.kind, key.value),
        grade=folded.grade,
        labels=folded.labels,
        datasets=folded.datasets,
        count=folded.count,
        window=window,
        state="final" if final else "open",
        events=tuple(event_id for _, event_id in folded.ids),
        evidence=folded.evidence,
        explanation=tuple(explanation),
        controls=about.controls,
        playbooks=about.playbooks,
    )
