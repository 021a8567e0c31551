"""Detector files on a road of their own, for tests of content and of kinds: no parser, no classification, an empty ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from xmsec.content.detectors import Case, DetectorFile, detector_of
from xmsec.content.expect import Tokened, until
from xmsec.content.load import parse
from xmsec.content.streams import load_streams
from xmsec.detect.load import Loaded, Place, detectors
from xmsec.findings.incident import ByEntityAndDay
from xmsec.ledger.book import Book
from xmsec.ledger.entries import Entries
from xmsec.model.clock import EPOCH
from xmsec.model.types import Finding, Revisions
from xmsec.pipeline.inline import play
from xmsec.pipeline.road import Road

ROOT = Path(__file__).parent.parent
ZONE = ZoneInfo("Asia/Shanghai")
SIGMA_HQ = ROOT.parent / "shared" / "data" / "sigma-rules.zip"
NO_SIGMA_HQ = "the SigmaHQ rules (../shared/data/sigma-rules.zip) are not on this machine"


def file_of(text: str, name: str = "detectors/test/some-rule.yaml") -> DetectorFile:
    """Make a detector file of its text."""
    return detector_of(parse(Path(name), text))


def loaded(files: Sequence[DetectorFile]) -> Loaded:
    """Make the detectors of files, with the streams that ship."""
    return detectors(files, Place(ZONE, load_streams([ROOT])[0]))


def road_of(made: Loaded, ledger: Book | None = None) -> Road:
    """Return a road that starts at `enrich`."""
    return Road(
        parse=lambda raw: None,
        classify=lambda documents: [],
        grade=lambda spans, labels: None,
        matcher=made.rules,
        ledger=ledger or Book(Entries(as_of=EPOCH, revision=0)),
        detectors=made.detectors,
        grouping=ByEntityAndDay(ZONE),
        system=lambda stream: stream.partition(".")[0],
        lateness=lambda stream: timedelta(minutes=5),
        revisions=Revisions("test", 0),
    )


def runner(made: Loaded):  # type: ignore[no-untyped-def]  # its type is content.expect.Run
    """Return what carries an inline test along a road of these detectors."""

    def run(file: DetectorFile, case: Case, events: Sequence[Tokened]) -> Sequence[Finding]:
        ledger = case.given.ledger
        book = None
        if ledger is not None:
            from xmsec.content.load import Document, read

            inline = not isinstance(ledger, str)
            book, _ = Book.load(Document(file.path, "", ledger) if inline else read(file.path.parent / str(ledger)))
        return play(road_of(made, book), events, until(case))

    return run
