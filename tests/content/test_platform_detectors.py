"""The detectors that every deployment has, tried by their own inline tests on the real road from `enrich` on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from xmsec.content.detectors import Case, DetectorFile, duration, load_detector_paths
from xmsec.content.expect import Tokened, check
from xmsec.content.load import Document
from xmsec.content.streams import Stream, Title, load_streams
from xmsec.detect.load import Place, detectors
from xmsec.findings.incident import ByEntityAndDay
from xmsec.ledger.book import Book
from xmsec.ledger.entries import Entries
from xmsec.model.clock import EPOCH
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Revisions, Tick
from xmsec.pipeline.batch import carry_on
from xmsec.pipeline.road import Road, Taken

ROOT = Path(__file__).parents[2]
ZONE = ZoneInfo("Asia/Shanghai")
FILES, PROBLEMS = load_detector_paths(sorted((ROOT / "detectors" / "platform").glob("*.yaml")))
GATEWAY = "onestop-service.gateway"


def streams() -> dict[str, Stream]:
    """Return the shipped streams; the gateway, on which the silence tests rest, with a limit that is known here."""
    shipped, _ = load_streams([ROOT])
    gateway = shipped.get(GATEWAY) or Stream(id=GATEWAY, title=Title("网关", "Gateway"), format="json", samples=())
    return shipped | {GATEWAY: msgspec.structs.replace(gateway, silence_s=1800)}


def book(case: Case, file: DetectorFile) -> Book:
    if case.given.ledger is None:
        return Book(Entries(as_of=EPOCH))
    made, problems = Book.load(Document(file.path, "", case.given.ledger))
    assert not problems
    return made


def carried(file: DetectorFile, case: Case, events: Sequence[Tokened]) -> Sequence[Finding]:
    """Carry a test's events along the road; then `until` passes, the sources end, and what is final is told."""
    loaded = detectors([file], Place(ZONE, streams()))
    assert not loaded.problems
    road = Road(
        parse=lambda _: None,
        classify=lambda _: (),
        grade=lambda _spans, _labels: None,
        matcher=loaded.rules,
        ledger=book(case, file),
        detectors=loaded.detectors,
        grouping=ByEntityAndDay(ZONE),
        system=lambda stream: stream.partition(".")[0],
        lateness=lambda _: timedelta(minutes=5),
        revisions=Revisions("test", 1),
    )
    last = events[-1][0]
    until = duration(case.given.until or "1s") or timedelta(0)
    idle = Tick(*last.position.source, last.received + until, "idle")
    taken = Taken([*events, idle], (), Counter(), Counter())
    told = {finding.id: finding for finding in carry_on(taken, road, Memory()).findings}
    return [finding for finding in told.values() if finding.state == "final"]


def test_every_file_loads() -> None:
    assert PROBLEMS == []
    assert sorted(file.id for file in FILES) == ["coverage", "source-silent", "ungranted-fields", "ungranted-use"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.id)
def test_its_own_tests_hold(file: DetectorFile) -> None:
    assert len(file.tests) >= 2
    assert [str(failure) for failure in check(file, carried)] == []
