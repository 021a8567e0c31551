"""The whole road over one batch: the picture of the architecture as code."""

from __future__ import annotations

from collections.abc import Iterable

from xmsec.model.ports import Outcome, States
from xmsec.model.states import Layered
from xmsec.model.types import Raw, Tick
from xmsec.pipeline.detect import advance, detect
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.group import group
from xmsec.pipeline.road import Road, Taken
from xmsec.pipeline.tokenise import tokenise


def process_batch(records: Iterable[Raw | Tick], road: Road, states: States) -> Outcome:
    """Carry records along the whole road; nothing is written."""
    return carry_on(tokenise(records, road), road, states)


def carry_on(taken: Taken, road: Road, states: States) -> Outcome:
    """Carry tokened events along the rest of the road: where replays, backtests and training start."""
    seen = enrich(taken, road, states)
    told = detect(seen.contexts, road, states)
    closed = advance(road, Layered(states, told.states), seen.watermark, report=seen.quiet)
    cases = group((*told.findings, *closed.findings), road, states, seen.watermark)
    return Outcome(
        passed=seen.passed,
        findings=cases.findings,
        incidents=cases.incidents,
        intents=cases.intents,
        rejected=(*taken.rejected, *told.rejected, *closed.rejected),
        counts=taken.counts + seen.counts,
        proposals=taken.proposals,
        clocks=seen.clocks,
        states={**told.states, **closed.states, **cases.states},
        watermark=seen.watermark,
        revisions=road.revisions,
    )
