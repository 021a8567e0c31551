"""The road in hops, killed anywhere and played again: the same findings as the road in one piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import toys
from tests.property.test_toys_batching import Final, Partition, Record, cut, interleaved, together, traffic, with_findings

from xmsec.model.types import Finding, Incident, Raw, Source
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.share import Kept, Rows, Share

COUNT = 3
ROAD = toys.road()
PARTICIPANTS: Sequence[Source] = (("toys.a", "0"), ("toys.a", "1"), ("toys.b", "0"))
Log = list[bytes]
Sent = tuple[Log, bytes]
Draw = Callable[[st.SearchStrategy[int]], int]


class Hop:
    """One partition of one hop: a log that it reads, rows that survive, and where it goes on."""

    def __init__(self, number: int, log: Log, kept: Kept, take: Callable[[int, bytes, Share], list[Sent]]) -> None:
        self.log, self._number, self._kept, self._take = log, number, kept, take
        self._rows: dict[bytes, bytes] = {}
        self._share = Share(number, kept, self._rows)
        self._next = 0

    @property
    def waits(self) -> bool:
        return self._next < len(self.log)

    def step(self, draw: Draw, crash: bool) -> None:
        """Take some frames that wait; killed, some of what they gave is sent, or all is and some rows are written."""
        end = draw(st.integers(self._next + 1, len(self.log)))
        sends = [one for offset in range(self._next, end) for one in self._take(offset, self.log[offset], self._share)]
        rows = self._share.pending()
        sent = draw(st.integers(0, len(sends))) if crash else len(sends)
        for log, value in sends[:sent]:
            log.append(value)
        if sent == len(sends):
            self._write(rows, draw(st.integers(0, len(rows))) if crash else len(rows))
        if crash:
            self._next, self._share = draw(st.integers(0, self._next)), Share(self._number, self._kept, self._rows)
        else:
            self._next = end
            self._share.settle()

    def _write(self, rows: Rows, how_many: int) -> None:
        for name, value in rows[:how_many]:
            if value is None:
                self._rows.pop(name, None)
            else:
                self._rows[name] = value


class Platform:
    """Every hop of the toys' road over logs in memory."""

    def __init__(self) -> None:
        self.tokened: list[Log] = [[] for _ in range(COUNT)]
        self.events: list[Log] = [[] for _ in range(COUNT)]
        self.findings: list[Log] = [[] for _ in range(COUNT)]
        self.cases: Log = []
        grouping = hops.kept_by_grouping(ROAD, COUNT)
        self.hops = [
            hop
            for n in range(COUNT)
            for hop in (
                Hop(n, self.tokened[n], hops.NOTHING, self._enrich),
                Hop(n, self.events[n], hops.kept_by_detectors(ROAD, PARTICIPANTS, n, COUNT), self._detect),
                Hop(n, self.findings[n], grouping, self._group),
            )
        ]

    def classify(self, records: Sequence[Record]) -> None:
        for frame in hops.by_source(tokenise(records, ROAD), ROAD):
            self.tokened[frames.partition_of_source(frame.source, COUNT)] += frames.packs(frame)

    def _enrich(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.enriched(frames.unpack(value, frames.Tokened), offset, share, ROAD, COUNT)
        return [] if told is None else [(self.events[place], frames.pack(one)) for place, one in enumerate(told[0])]

    def _detect(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.detected(frames.unpack(value, frames.Contexts), offset, share, ROAD, COUNT)
        return [] if told is None else [(self.findings[place], frames.pack(one)) for place, one in told.findings]

    def _group(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.grouped(frames.unpack(value, frames.Findings), offset, share, ROAD)
        return [] if told is None else [(self.cases, frames.pack(told))]

    def told(self) -> Final:
        findings: dict[str, Finding] = {}
        incidents: dict[str, Incident] = {}
        for value in self.cases:
            cases = frames.unpack(value, frames.Cases)
            findings.update((finding.id, finding) for finding in cases.findings)
            incidents.update((incident.id, incident) for incident in cases.incidents)
        return findings, with_findings(incidents)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_hops_killed_anywhere_tell_what_the_whole_road_tells(
    data: st.DataObject, parts: Sequence[Partition], sizes: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hops, "AT_ONCE", data.draw(st.sampled_from((1, 2, 500)), "findings of a frame"))
        assert played(data, cut(data.draw(interleaved(parts)), sizes)) == together(parts)


def played(data: st.DataObject, batches: list[list[Record]]) -> Final:
    """What the platform tells, killed here and there."""
    platform = Platform()
    crashes = data.draw(st.integers(0, 12))
    while batches or any(hop.waits for hop in platform.hops):
        waiting = [hop for hop in platform.hops if hop.waits]
        turn = data.draw(st.integers(0, len(waiting) - (not batches)))
        crash = crashes > 0 and data.draw(st.booleans())
        crashes -= crash
        if turn == len(waiting):  # classify; killed, it comes to the same records again, but what it said of itself was said
            end = data.draw(st.integers(0, len(batches[0]))) if crash else len(batches[0])
            platform.classify(batches[0][:end])
            again = [record for record in batches[0][:end] if isinstance(record, Raw)]
            batches[:1] = [[*again, *batches[0][end:]]] if crash else []
        else:
            waiting[turn].step(data.draw, crash)
    return platform.told()


@settings(max_examples=40, deadline=None)
@given(parts=traffic)
def test_a_frame_says_the_same_when_it_is_read(parts: Sequence[Partition]) -> None:
    taken = tokenise([record for part in parts for record in part], ROAD)
    for frame in hops.by_source(taken, ROAD):
        assert frames.unpack(frames.pack(frame), frames.Tokened) == frame
        told = hops.enriched(frame, 0, Share(0, hops.NOTHING, {}), ROAD, COUNT)
        assert told is not None
        for share in told[0]:
            again = frames.unpack(frames.pack(share), frames.Contexts)
            assert frames.contexts(again) == frames.contexts(share)
            assert again == share
