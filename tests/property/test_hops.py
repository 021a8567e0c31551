"""The road in hops, killed anywhere and played again: the same findings as the road in one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests import toys
from tests.property.test_toys_batching import Final, Partition, Record, cut, interleaved, together, traffic

from xmsec.model.types import Clock, Finding, Incident, Source, Tick
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.share import Heard, Rows, Share, heard_of, remember

COUNT = 3
ROAD = toys.road()
PARTICIPANTS: Sequence[Source] = (("toys.a", "0"), ("toys.a", "1"), ("toys.b", "0"))
Log = list[bytes]
Sent = tuple[Log, bytes]


class Hop:
    """One partition of one hop: a log that it reads, rows that survive, and where it was committed."""

    def __init__(self, log: Log, take: Callable[[int, bytes, dict[bytes, bytes]], tuple[list[Sent], Rows] | None]) -> None:
        self.log, self.take = log, take
        self.rows: dict[bytes, bytes] = {}
        self.next = 0
        self.forget: Callable[[], Any] = lambda: None

    @property
    def waits(self) -> bool:
        return self.next < len(self.log)

    def step(self, draw: Callable[[st.SearchStrategy[int]], int], crash: bool) -> None:
        given_now = self.take(self.next, self.log[self.next], self.rows)
        sends, rows = given_now or ([], {})
        sent = draw(st.integers(0, len(sends))) if crash else len(sends)
        for log, value in sends[:sent]:
            log.append(value)
        written = draw(st.integers(0, len(rows))) if crash and sent == len(sends) else len(rows) * (not crash)
        for name, value in list(rows.items())[:written]:
            if value is None:
                self.rows.pop(name, None)
            else:
                self.rows[name] = value
        self.next = draw(st.integers(0, self.next)) if crash else self.next + 1
        if crash:
            self.forget()


class Platform:
    """Every hop of the toys' road over logs in memory."""

    def __init__(self) -> None:
        self.tokened: list[Log] = [[] for _ in range(COUNT)]
        self.events: list[Log] = [[] for _ in range(COUNT)]
        self.findings: list[Log] = [[] for _ in range(COUNT)]
        self.cases: Log = []
        self.hops = [
            *(self._enrich(number) for number in range(COUNT)),
            *(self._detect(number) for number in range(COUNT)),
            *(self._group(number) for number in range(COUNT)),
        ]

    def classify(self, records: Sequence[Record]) -> None:
        for frame in hops.by_source(tokenise(records, ROAD), ROAD):
            self.tokened[frames.partition_of_source(frame.source, COUNT)] += frames.packs(frame)

    def _enrich(self, number: int) -> Hop:
        def take(offset: int, value: bytes, rows: dict[bytes, bytes]) -> tuple[list[Sent], Rows] | None:
            frame = frames.unpack(value, frames.Tokened)
            heard = heard_of(rows, number, frame.source)
            if offset <= heard.number:
                return None
            clock, shares, _ = hops.enriched(frame, offset, heard.clock, ROAD, COUNT)
            sends = [(self.events[place], frames.pack(share)) for place, share in enumerate(shares)]
            return sends, remember(number, frame.source, Heard(offset, clock))

        return Hop(self.tokened[number], take)

    def _detect(self, number: int) -> Hop:
        shares: dict[int, Share] = {}
        kept = hops.kept_by_detectors(ROAD, PARTICIPANTS, number, COUNT)

        def take(offset: int, value: bytes, rows: dict[bytes, bytes]) -> tuple[list[Sent], Rows] | None:
            share = shares.get(number) or shares.setdefault(number, Share(number, kept, rows))
            told = hops.detected(frames.unpack(value, frames.Contexts), offset, share, ROAD, COUNT)
            if told is None:
                return None
            return [(self.findings[place], frames.pack(frame)) for place, frame in told.findings.items()], told.rows

        hop = Hop(self.events[number], take)
        hop.forget = shares.clear
        return hop

    def _group(self, number: int) -> Hop:
        shares: dict[int, Share] = {}

        def take(offset: int, value: bytes, rows: dict[bytes, bytes]) -> tuple[list[Sent], Rows] | None:
            share = shares.get(number) or shares.setdefault(number, Share(number, hops.kept_by_grouping(ROAD, COUNT), rows))
            told = hops.grouped(frames.unpack(value, frames.Findings), offset, share, ROAD)
            return told and ([(self.cases, frames.pack(told[0]))], told[1])

        hop = Hop(self.findings[number], take)
        hop.forget = shares.clear
        return hop

    def told(self) -> Final:
        findings: dict[str, Finding] = {}
        incidents: dict[str, Incident] = {}
        for value in self.cases:
            cases = frames.unpack(value, frames.Cases)
            findings.update((finding.id, finding) for finding in cases.findings)
            incidents.update((incident.id, incident) for incident in cases.incidents)
        return findings, incidents


@settings(max_examples=120, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_hops_killed_anywhere_tell_what_the_whole_road_tells(
    data: st.DataObject, parts: Sequence[Partition], sizes: list[int]
) -> None:
    platform = Platform()
    batches = cut(data.draw(interleaved(parts)), sizes)
    crashes = data.draw(st.integers(0, 12))
    while batches or any(hop.waits for hop in platform.hops):
        waiting = [hop for hop in platform.hops if hop.waits]
        turn = data.draw(st.integers(0, len(waiting) - (not batches)))
        crash = crashes > 0 and data.draw(st.booleans())
        crashes -= crash
        if turn == len(waiting):  # classify; killed, it comes to the same records again
            batch = batches[0][: data.draw(st.integers(0, len(batches[0])))] if crash else batches.pop(0)
            platform.classify([record for record in batch if not (crash and isinstance(record, Tick))])
        else:
            waiting[turn].step(data.draw, crash)
    assert platform.told() == together(parts)


@settings(max_examples=100, deadline=None)
@given(parts=traffic)
def test_a_frame_says_the_same_when_it_is_read(parts: Sequence[Partition]) -> None:
    taken = tokenise([record for part in parts for record in part], ROAD)
    for frame in hops.by_source(taken, ROAD):
        assert frames.unpack(frames.pack(frame), frames.Tokened) == frame
        _, shares, _ = hops.enriched(frame, 0, Clock(), ROAD, COUNT)
        for share in shares:
            again = frames.unpack(frames.pack(share), frames.Contexts)
            assert frames.contexts(again) == frames.contexts(share)
            assert again == share
