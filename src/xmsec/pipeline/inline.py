"""Inline tests along the road: events that a file holds, carried as one batch, and what is final in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from xmsec.model.errors import InputError
from xmsec.model.states import Layered, Memory
from xmsec.model.types import Finding
from xmsec.pipeline.detect import advance, detect
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.road import Road, Taken, Tokened


def play(road: Road, events: Sequence[Tokened], until: datetime | None = None) -> list[Finding]:
    """Carry tokened events along a road that remembers nothing; give the findings that are final at the end.

    until: how far event time passes after the last event, for what waits (silence); open windows are closed in any case.
    Raises InputError when a detector breaks on an event: on a live road that is a dead letter, in a test it must show.
    """
    states = Memory()
    seen = enrich(Taken(list(events), (), Counter(), Counter()), road, states)
    told = detect(seen.contexts, road, states)
    for rejected in told.rejected:
        raise InputError(rejected.reason, where=rejected.leg)
    moment = until or max((event.time for event, _ in events), default=None)
    closed = advance(road, Layered(states, told.states), moment, report="ended")
    last = {finding.id: finding for finding in (*told.findings, *closed.findings)}
    return [finding for finding in last.values() if finding.state == "final"]
