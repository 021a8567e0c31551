"""Events fold into the states of detectors' keys; event time closes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from xmsec.model.clock import FAR, Quiet
from xmsec.model.ports import Detector, FedByRules, Held, Owned, States
from xmsec.model.states import Layered
from xmsec.model.types import Context, Finding, Key, Rejected
from xmsec.pipeline.attempt import attempt
from xmsec.pipeline.road import Road, Told

AT_ONCE = 10_000  # keys whose windows close together: some 20 MB of states; when an input ends, all that are open are due

Fresh = Sequence[tuple[Key, Context]]
Owns = Callable[[str, Key, Context], bool]


def detect(contexts: Sequence[Context], road: Road, states: States, owns: Owns | None = None) -> Told:
    """Show each detector the events of its keys.

    owns: which of a detector's keys this process looks after, for a runtime that spreads keys; None means all.
    """
    findings: list[Finding] = []
    touched: dict[Owned, Held | None] = {}
    rejected: list[Rejected] = []
    places = _places_by_rule(contexts)
    for owner, detector in road.detectors.items():
        fresh = _fresh(owner, detector, _shown(detector, contexts, places), owns)
        if not fresh:
            continue
        before = {key: _state(owner, detector, states, key) for key in dict.fromkeys(key for key, _ in fresh)}
        stepped, told, failed = _step(detector, before, fresh)
        findings += told
        rejected += failed
        for key, state in stepped.items():
            touched[owner, key] = Held(state, detector.due(state))
    return Told(findings, touched, rejected)


def _places_by_rule(contexts: Sequence[Context]) -> Mapping[str, Sequence[int]]:
    """Return for which events of a batch each rule holds."""
    places: dict[str, list[int]] = {}
    for place, context in enumerate(contexts):
        for rule in context.matches:
            if rule in places:
                places[rule].append(place)
            else:
                places[rule] = [place]
    return places


def _shown(detector: Detector[Any], contexts: Sequence[Context], places: Mapping[str, Sequence[int]]) -> Sequence[Context]:
    """Return the events that can have keys of a detector: asking each detector about each event costs as much as detecting."""
    if not isinstance(detector, FedByRules) or detector.rules is None:
        return contexts
    found = [places[rule] for rule in detector.rules if rule in places]
    if len(found) == 1:
        return [contexts[place] for place in found[0]]
    return [contexts[place] for place in sorted(set().union(*found))]


def _fresh(owner: str, detector: Detector[Any], contexts: Sequence[Context], owns: Owns | None) -> Fresh:
    keys = detector.keys
    if owns is None:
        return [(key, context) for context in contexts for key in keys(context)]
    return [(key, context) for context in contexts for key in keys(context) if owns(owner, key, context)]


def _state(owner: str, detector: Detector[Any], states: States, key: Key) -> Any:
    held = states.get(owner, key)
    return detector.start() if held is None else held.state


def _step(
    detector: Detector[Any], before: Mapping[Key, Any], fresh: Fresh
) -> tuple[Mapping[Key, Any], Sequence[Finding], list[Rejected]]:
    """Step all keys at once; when that fails, key by key, so that one event cannot silence a detector for the others."""
    got, _ = attempt(partial(detector.step, before), fresh)
    if got is not None:
        return got[0], got[1], []
    stepped: dict[Key, Any] = {}
    findings: list[Finding] = []
    rejected: list[Rejected] = []
    for key, context in fresh:
        got, reason = attempt(partial(detector.step, {key: stepped.get(key, before[key])}), [(key, context)])
        if got is None:
            rejected.append(Rejected(context.event.position, f"detect:{detector.id}", reason, context.event.received))
        else:
            stepped.update(got[0])
            findings += got[1]
    return stepped, findings, rejected


def advance(road: Road, states: States, watermark: datetime | None, *, report: Quiet = "") -> Told:
    """Let event time pass: windows that ended close.

    report: when every source is quiet, tell what is still open as final too but keep its state, so that a record that still
    comes updates the same finding; silence is never told so. While more may come, neither is what only a whole window shows.
    """
    findings: list[Finding] = []
    touched: dict[Owned, Held | None] = {}
    if watermark is not None:
        for owner, waiting in _waiting(road, states, watermark):
            detector = road.detectors[owner]
            closed, told = detector.advance({key: held.state for key, held in waiting.items()}, watermark)
            findings += told
            for key, state in closed.items():
                due = None if state is None else detector.due(state)
                touched[owner, key] = None if state is None else Held(state, due)
    if report:
        for owner, waiting in _waiting(road, Layered(states, touched), None):
            told = road.detectors[owner].advance({key: held.state for key, held in waiting.items()}, FAR)[1]
            ended = report == "ended"
            findings += (finding for finding in told if finding.kind != "silence" and (ended or _lasts(finding)))
    return Told(findings, touched)


def _lasts(finding: Finding) -> bool:
    """Whether no further record can take a finding back: it rests on events, and not on all that a window held."""
    return bool(finding.events) and finding.kind != "anomaly"


def _waiting(road: Road, states: States, watermark: datetime | None) -> Iterable[tuple[str, dict[Key, Held]]]:
    """Return, by owner in the road's order, what is held for keys that are due: some at a time, for keys are strangers."""
    by_owner: dict[str, list[Key]] = {}
    for owner, key in states.due(watermark):
        by_owner.setdefault(owner, []).append(key)
    for owner in road.detectors:
        keys = sorted(by_owner.get(owner, ()))
        for start in range(0, len(keys), AT_ONCE):
            found = ((key, states.get(owner, key)) for key in keys[start : start + AT_ONCE])
            yield owner, {key: held for key, held in found if held is not None}
