"""Findings are held against the exceptions; the others become the incidents of their primary entity, and intents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from xmsec.findings.exceptions import EXPIRED
from xmsec.model.ports import Grouping, Held, Owned, States
from xmsec.model.states import Layered
from xmsec.model.types import Finding, Key
from xmsec.pipeline.road import Cases, Road

INCIDENTS = "incidents"  # owner of the grouping's states


def group(findings: Sequence[Finding], road: Road, states: States, watermark: datetime | None = None) -> Cases:
    """Judge findings by exceptions, fold them into the incidents of their entity; the same finding twice changes nothing."""
    told = road.exceptions.judge(findings)
    touched: dict[Owned, Held | None] = {}
    if watermark is not None:
        for owner, key in list(states.due(watermark)):
            held = states.get(owner, key) if owner == INCIDENTS else None
            if held is not None:
                touched[owner, key] = _forget(road.grouping, held, watermark)
    view = Layered(states, touched)
    cases = [finding for finding in told if finding.detector != EXPIRED]
    held_by_key = {key: view.get(INCIDENTS, key) for key in {Key(f.entity.type, f.entity.id) for f in cases}}
    before = {key: held.state for key, held in held_by_key.items() if held is not None}
    after, incidents, intents = road.grouping.step(before, cases)
    for key, state in after.items():
        touched[INCIDENTS, key] = None if state is None else Held(state, road.grouping.due(state))
    return Cases(told, incidents, intents, touched)


def _forget(grouping: Grouping, held: Held, watermark: datetime) -> Held | None:
    state = grouping.advance(held.state, watermark)
    return None if state is None else Held(state, grouping.due(state))
