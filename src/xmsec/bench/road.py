"""The whole road over a file as `xmsec scan` drives it, and the same road walked leg by leg with a clock at each."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from xmsec.bench.clock import Legs, Taken, timed
from xmsec.bench.traffic import STREAM
from xmsec.classify.token import check_value
from xmsec.model.ports import Matcher, Outcome, States
from xmsec.model.states import Layered
from xmsec.model.types import Event, Raw, Tick
from xmsec.pipeline.detect import advance, detect
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.group import group
from xmsec.pipeline.road import Road
from xmsec.pipeline.tokenise import tokenise
from xmsec.runtime.assemble import Deployment
from xmsec.runtime.embedded import settled
from xmsec.runtime.files import FileRun, Rig
from xmsec.runtime.summary import Tally
from xmsec.sources.file import FileSource, merge
from xmsec.store.counted import recording_into
from xmsec.store.recording import Recording
from xmsec.store.sqlite import SqliteStore

KEY = bytes(range(32))  # of a bench: its tokens leave nothing behind
COMMIT_BATCHES = 5  # of 4,000 lines: about what a second brings


def whole(deployment: Deployment, path: Path) -> Taken:
    """Drive a file through a fresh store and recording, all of it committed and sealed at the end."""
    with rig(deployment) as into:
        run = FileRun(into, [source(path)], time.monotonic)
        return timed(lambda: sum(1 for _ in run.drive()))


def by_leg(deployment: Deployment, path: Path) -> Legs:
    """Walk the same road leg by leg: what `carry_on` and the embedded runtime do, one clock reading a leg and batch."""
    legs = Legs()
    road = _watched(deployment.road, legs)
    with rig(deployment) as into, settled():
        states, recording, tally = into.store.states(), recording_into(into.store, into.recordings, into.key_check), Tally({})
        batches = merge(source(path).open({}), lambda _: None)
        waiting: list[Outcome] = []
        while (batch := legs.time("read", lambda: next(batches, None))) is not None:
            waiting.append(_carried(batch, road, states, legs))
            states.absorb(waiting[-1].states, waiting[-1].clocks)
            if len(waiting) >= COMMIT_BATCHES:
                _commit(into.store, recording, tally, waiting, legs)
                waiting = []
        if waiting:
            _commit(into.store, recording, tally, waiting, legs)
        legs.time("seal", recording.seal)
    return legs


def _carried(batch: Sequence[Raw | Tick], road: Road, states: States, legs: Legs) -> Outcome:
    taken = legs.time("parse", lambda: tokenise(batch, road))
    seen = legs.time("enrich", lambda: enrich(taken, road, states))
    told = legs.time("detect", lambda: detect(seen.contexts, road, states))
    above = Layered(states, told.states)
    closed = legs.time("detect", lambda: advance(road, above, seen.watermark, report=seen.quiet))
    findings = (*told.findings, *closed.findings)
    cases = legs.time("group", lambda: group(findings, road, states, seen.watermark))
    return Outcome(
        passed=seen.passed,
        findings=findings,
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


def _commit(store: SqliteStore, recording: Recording, tally: Tally, waiting: Sequence[Outcome], legs: Legs) -> None:
    entries = legs.time("record", lambda: {**recording.append(waiting), **tally.append(waiting)})
    legs.time("commit", lambda: store.commit(waiting, meta=entries))


def _watched(road: Road, legs: Legs) -> Road:
    """Return a road whose classify and match are timed apart from the legs that call them."""
    return msgspec.structs.replace(
        road,
        classify=lambda batch: legs.time("classify", lambda: road.classify(batch)),
        matcher=_Watched(road.matcher, legs),
    )


class _Watched:
    """A matcher with a clock."""

    def __init__(self, matcher: Matcher, legs: Legs) -> None:
        self._matcher, self._legs, self.fields = matcher, legs, matcher.fields

    def match(self, batch: Sequence[Event]) -> Sequence[tuple[str, ...]]:
        """Return what the matcher does."""
        return self._legs.time("match", lambda: self._matcher.match(batch))


@contextmanager
def rig(deployment: Deployment) -> Iterator[Rig]:
    """Make a fresh store and a folder of recordings, which go at the end."""
    with TemporaryDirectory(prefix="xmsec-bench-") as name:
        store = SqliteStore(Path(name) / "store.sqlite", deployment.codecs)
        try:
            yield Rig(deployment, store, Path(name) / "recordings", check_value(KEY))
        finally:
            store.close()


def source(path: Path) -> FileSource:
    """Return a file as the web log that it is."""
    return FileSource(STREAM, [str(path)], _now)


def _now() -> datetime:
    return datetime.now(UTC)
