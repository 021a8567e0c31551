"""The road in hops, killed anywhere and played again: the same findings as the road in one piece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import toys
from tests.property.test_toys_batching import Final, Partition, Record, cut, interleaved, together, traffic, with_findings

from xmsec.model.clock import EPOCH
from xmsec.model.states import Memory
from xmsec.model.types import Context, Finding, Incident, Key, Position, Raw, Source, Tick, Window
from xmsec.pipeline.batch import process_batch
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.share import Kept, Rows, Share
from xmsec.runtime.releases import Named, Release

COUNT = 3
RELEASED = "1-0123456789abcdef"
ROADS = Roads(toys.road)
PARTICIPANTS: Sequence[Source] = (("toys.a", "0"), ("toys.a", "1"), ("toys.b", "0"))
Log = list[bytes]
Sent = tuple[Log, bytes]
Draw = Callable[[st.SearchStrategy[int]], int]


class Hop:
    """One partition of one hop: a log that it reads, rows that survive, and where it goes on."""

    def __init__(
        self, number: int, log: Log, kept: Callable[[], Kept], take: Callable[[int, bytes, Share], list[Sent]]
    ) -> None:
        self.log, self._number, self._kept, self._take = log, number, kept, take
        self._rows: dict[bytes, bytes] = {}
        self._next = 0
        self.begin()

    def begin(self) -> None:
        self._share = Share(self._number, self._kept(), self._rows)

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
            self._next = draw(st.integers(0, self._next))
            self.begin()
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
    """Every hop of the toys' road over logs in memory. later: how a detector is defined once a release was published."""

    def __init__(self, later: toys.Many | None = None) -> None:
        self._later, self._published = later, False
        self.begin()
        self.tokened: list[Log] = [[] for _ in range(COUNT)]
        self.events: list[Log] = [[] for _ in range(COUNT)]
        self.findings: list[Log] = [[] for _ in range(COUNT)]
        self.cases: Log = []
        self.hops = [
            hop
            for n in range(COUNT)
            for hop in (
                Hop(n, self.tokened[n], lambda: hops.NOTHING, self._enrich),
                Hop(n, self.events[n], partial(self._kept, n), self._detect),
                Hop(n, self.findings[n], lambda: hops.kept_by_grouping(self.roads.newest, COUNT), self._group),
            )
        ]

    def begin(self) -> None:
        """Begin as a worker does: with its own content, and what was published."""
        self.roads = Roads(toys.road, lambda named: toys.road(self._later, named.name))
        if self._published:
            self.publish()

    def publish(self) -> None:
        self._published = True
        assert not self.roads.hear([Named(RELEASED, Release(1, EPOCH, "", {}))])

    def classify(self, records: Sequence[Record]) -> None:
        road = self.roads.newest
        for frame in hops.by_source(tokenise(records, road), road):
            self.tokened[frames.partition_of_source(frame.source, COUNT)] += frames.packs(frame)

    def _kept(self, number: int) -> Kept:
        return hops.kept_by_detectors(self.roads, PARTICIPANTS, number, COUNT)

    def _enrich(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.enriched(frames.unpack(value, frames.Tokened), offset, share, self.roads, COUNT)
        return [] if told is None else [(self.events[place], frames.pack(one)) for place, one in enumerate(told[0])]

    def _detect(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.detected(frames.unpack(value, frames.Contexts), offset, share, self.roads, COUNT)
        return [] if told is None else [(self.findings[place], frames.pack(one)) for place, one in told.findings]

    def _group(self, offset: int, value: bytes, share: Share) -> list[Sent]:
        told = hops.grouped(frames.unpack(value, frames.Findings), offset, share, self.roads.newest)
        return [] if told is None else [(self.cases, frames.pack(told))]

    def told(self) -> Final:
        findings: dict[str, Finding] = {}
        incidents: dict[str, Incident] = {}
        for value in self.cases:
            cases = frames.unpack(value, frames.Cases)
            findings.update((finding.id, finding) for finding in cases.findings)
            incidents.update((incident.id, incident) for incident in cases.incidents)
        return findings, with_findings(incidents)


def played(data: st.DataObject, batches: list[list[Record]], later: toys.Many | None = None, published: int = 0) -> Platform:
    """Carry batches through the hops, killed here and there; a release is published when fewer batches than that are left."""
    platform = Platform(later)
    crashes = data.draw(st.integers(0, 12))
    while batches or any(hop.waits for hop in platform.hops):
        if len(batches) < published:
            platform.publish()
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
        if crash:
            platform.begin()
            for hop in platform.hops:
                hop.begin()
    return platform


@settings(max_examples=60, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9)))
def test_hops_killed_anywhere_tell_what_the_whole_road_tells(
    data: st.DataObject, parts: Sequence[Partition], sizes: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hops, "AT_ONCE", data.draw(st.sampled_from((1, 2, 500)), "findings of a frame"))
        assert played(data, cut(data.draw(interleaved(parts)), sizes)).told() == together(parts)


class Only(toys.Many):
    """Looks at some records alone."""

    def __init__(self, many: toys.Many, positions: Collection[Position]) -> None:
        self._positions = positions
        self.about, self.length = many.about, many.length

    def keys(self, context: Context) -> Sequence[Key]:
        return super().keys(context) if context.event.position in self._positions else ()


def counts(findings: Iterable[Finding]) -> dict[str, tuple[int, str, Window]]:
    return {one.id: (one.count, one.state, one.window) for one in findings}


@pytest.mark.parametrize("later", [toys.Graver(), toys.Longer()], ids=["goes on", "starts anew"])
@settings(max_examples=25, deadline=None)
@given(data=st.data(), parts=traffic, sizes=st.lists(st.integers(1, 9), min_size=3))
def test_a_release_at_any_moment_loses_no_window_and_counts_each_event_once(
    data: st.DataObject, parts: Sequence[Partition], sizes: list[int], later: toys.Many
) -> None:
    platform = played(data, cut(data.draw(interleaved(parts)), sizes), later, data.draw(st.integers(1, len(sizes) + 1)))
    made_under: dict[Position, str] = {}
    for value in (value for log in platform.tokened for value in log):
        frame = frames.unpack(value, frames.Tokened)
        for item in frame.items:
            if not isinstance(item, Tick):
                made_under.setdefault(item[0].position, frame.revisions.content)
    before = {position for position, content in made_under.items() if content == "toys"}
    whole = toys.road()
    if later.shape != toys.Many.shape:
        halves = {"before": Only(toys.Many(), before), "after": Only(later, made_under.keys() - before)}
        detectors = {name: one for name, one in whole.detectors.items() if name != "toy-many"}
        whole = msgspec.structs.replace(whole, detectors=detectors | halves)
    outcome = process_batch([record for part in parts for record in part], whole, Memory())
    expected, told = counts(outcome.findings), counts(platform.told()[0].values())
    often = Counter(one.id for one in outcome.findings if one.state == "final")
    twice = {one for one in often if often[one] > 1}  # a former and a later window of one beginning: the last one's word
    assert {one: told[one] for one in told if one not in twice} == {one: expected[one] for one in expected if one not in twice}


@settings(max_examples=40, deadline=None)
@given(parts=traffic)
def test_a_frame_says_the_same_when_it_is_read(parts: Sequence[Partition]) -> None:
    taken = tokenise([record for part in parts for record in part], toys.road())
    for frame in hops.by_source(taken, toys.road()):
        assert frames.unpack(frames.pack(frame), frames.Tokened) == frame
        told = hops.enriched(frame, 0, Share(0, hops.NOTHING, {}), ROADS, COUNT)
        assert told is not None
        for share in told[0]:
            again = frames.unpack(frames.pack(share), frames.Contexts)
            assert frames.contexts(again) == frames.contexts(share)
            assert again == share
