"""The same records give the same findings: whatever the interleaving, the batching, the ticks, the crashes and the replays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from tests import toys

from xmsec.model.clock import EPOCH
from xmsec.model.ports import Outcome
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Incident, Position, Raw, Tick
from xmsec.pipeline.batch import process_batch

USERS = ("ada", "bob", "eve")
ACTIONS = ("login", "change", "forbidden", "read")
Record = Raw | Tick
Partition = list[Record]


def raw(source: tuple[str, str], offset: int, line: bytes, given_id: str | None = None) -> Raw:
    received = EPOCH + timedelta(seconds=30 * offset)
    return Raw(Position(*source, offset), received, line, given_id)


@st.composite
def partitions(draw: st.DrawFn, source: tuple[str, str]) -> Partition:
    """One partition: records mostly in the order of time, some late, some under an id that came before, some broken or blank,
    idle ticks among them; it opens first and ends last.

    A producer sends a record again to the same partition: the same id in two partitions of a stream would be two records. A
    source that is idle before it ever said a time is not waited for, so that what it then brings may find windows closed.
    """
    given_ids = st.sampled_from((None, None, None, f"again-{source[1]}", f"once-more-{source[1]}"))
    records: Partition = [Tick(*source, EPOCH, "open")]
    minute, timed = 0.0, False
    for offset in range(draw(st.integers(0, 14))):
        minute += draw(st.sampled_from((0, 0, 1, 2, 7, 30)))
        back = draw(st.sampled_from((0, 0, 0, 1, 4, 6, 45)))
        said = {"t": minute - back, "user": draw(st.sampled_from(USERS)), "action": draw(st.sampled_from(ACTIONS))}
        line = draw(st.sampled_from((json.dumps(said).encode(),) * 8 + (b"{", b" ")))
        timed = timed or len(line) > 1
        records.append(raw(source, offset, line, draw(given_ids)))
        if timed and draw(st.integers(0, 9)) == 0:
            records.append(Tick(*source, EPOCH + timedelta(seconds=30 * offset + draw(st.integers(0, 900))), "idle"))
    return [*records, Tick(*source, EPOCH + timedelta(days=1), "ended")]


SOURCES = (("toys.a", "0"), ("toys.a", "1"), ("toys.b", "0"))
traffic = st.tuples(*(partitions(source) for source in SOURCES))


@st.composite
def interleaved(draw: st.DrawFn, parts: Sequence[Partition]) -> list[Record]:
    """Merge partitions, each in its own order; all open before the first record."""
    turns = [number for number, part in enumerate(parts) for _ in part[1:]]
    rests = [iter(part[1:]) for part in parts]
    return [*(part[0] for part in parts), *(next(rests[number]) for number in draw(st.permutations(turns)))]


def cut(records: list[Record], sizes: Iterable[int]) -> list[list[Record]]:
    """Cut records into batches of these sizes, and a rest."""
    places = [0, *(place for place in accumulate(sizes) if place < len(records)), len(records)]
    return [records[start:end] for start, end in pairwise(places)]


Final = tuple[dict[str, Finding], dict[str, Incident]]


def final(outcomes: Iterable[Outcome]) -> Final:
    """What is told last under each id."""
    findings: dict[str, Finding] = {}
    incidents: dict[str, Incident] = {}
    for outcome in outcomes:
        findings.update((finding.id, finding) for finding in outcome.findings)
        incidents.update((incident.id, incident) for incident in outcome.incidents)
    return findings, with_findings(incidents)


def with_findings(incidents: dict[str, Incident]) -> dict[str, Incident]:
    """Those that there are: one whose findings are all covered by now was told once more, without any."""
    return {name: incident for name, incident in incidents.items() if incident.findings}


def run(batches: Iterable[Sequence[Record]], memory: Memory | None = None) -> Final:
    road, memory, outcomes = toys.road(), memory or Memory(), []
    for batch in batches:
        outcome = process_batch(batch, road, memory)
        memory.absorb(outcome.states, outcome.clocks)
        outcomes.append(outcome)
    return final(outcomes)


def together(parts: Sequence[Partition]) -> Final:
    return run([[*(part[0] for part in parts), *(record for part in parts for record in part[1:])]])


@settings(max_examples=150, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_interleaving_and_batching_change_nothing(data: st.DataObject, parts: Sequence[Partition], sizes: list[int]) -> None:
    records = data.draw(interleaved(parts))
    assert run(cut(records, sizes)) == together(parts)


@settings(max_examples=50, deadline=None)
@given(parts=traffic)
def test_in_the_end_every_finding_is_final(parts: Sequence[Partition]) -> None:
    findings, incidents = together(parts)
    assert {finding.state for finding in findings.values()} <= {"final"}
    assert {incident.state for incident in incidents.values()} <= {"final"}


@settings(max_examples=100, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_after_a_crash_it_goes_on_from_what_was_committed(
    data: st.DataObject, parts: Sequence[Partition], sizes: list[int]
) -> None:
    records = data.draw(interleaved(parts))
    batches = cut(records, sizes)
    road, memory, outcomes = toys.road(), Memory(), []
    for batch in batches:
        if data.draw(st.booleans(), label="crash"):  # worked out, never committed, and worked out again in other batches
            process_batch(batch[: data.draw(st.integers(0, len(batch)))], road, memory)
        outcome = process_batch(batch, road, memory)
        memory.absorb(outcome.states, outcome.clocks)
        outcomes.append(outcome)
    assert final(outcomes) == together(parts)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_records_that_come_again_change_nothing(data: st.DataObject, parts: Sequence[Partition], sizes: list[int]) -> None:
    batches = cut(data.draw(interleaved(parts)), sizes)
    again: list[Sequence[Record]] = []
    for place, batch in enumerate(batches):
        back = data.draw(st.integers(0, place))
        replayed = [record for earlier in batches[back:place] for record in earlier if isinstance(record, Raw)]
        again.append([*replayed, *batch])
    assert run(again) == together(parts)
