"""All content that ships proves itself: every file by its own tests, all of it by the lint, the detectors by a quiet week."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from tests.rules import ROOT, ZONE

from xmsec.content.load import Document
from xmsec.content.scenarios import load_scenarios
from xmsec.ledger.book import Book
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Position, Raw, Tick
from xmsec.pipeline.batch import process_batch
from xmsec.runtime.assemble import assemble, keep_ledger
from xmsec.runtime.checked import Bench, Checked, bench, issues, tried
from xmsec.runtime.contents import gather
from xmsec.simulate.scenario import Plan, plan, run
from xmsec.simulate.write import ledger_of

CONTENTS = gather([ROOT])
TESTED = sorted({*CONTENTS.streams, *CONTENTS.recognisers, *(file.path for file in CONTENTS.detectors)})
SEED = 303  # other than those used while the detectors were written
LINES = 60_000  # of two weeks; with a quarter of it hardly anybody is at work beside what happens
BATCH = 2_000
RECEIVED = datetime(2026, 12, 1, tzinfo=UTC)
ACCUSING = ("sigma", "correlation", "contract", "silence")


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(CONTENTS, ZONE, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def checked(on: Bench) -> Mapping[Path, Checked]:
    return {one.path: one for one in tried(on)}


@pytest.mark.parametrize("path", TESTED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_holds_its_own_tests(path: Path, checked: Mapping[Path, Checked]) -> None:
    assert checked[path].failures == []
    assert checked[path].tests >= 2 or path.is_relative_to(ROOT / "streams")


def test_everything_loads(on: Bench) -> None:
    assert [str(problem) for problem in on.problems] == []


def test_the_lint_is_clean(on: Bench) -> None:
    assert [str(issue) for issue in issues(on)] == []


def quiet_week(planned: Plan) -> Iterator[list[Raw | Tick]]:
    """The days on which nothing happens, in batches."""
    uses = planned.scenario.streams
    offsets = dict.fromkeys(uses, 0)
    batch: list[Raw | Tick] = [Tick(use.stream, name, RECEIVED, "open") for name, use in uses.items()]
    end_ms = timedelta(days=planned.scenario.train_days) / timedelta(milliseconds=1)
    for record in takewhile(lambda record: record.at < end_ms, run(planned)):
        name = record.stream
        batch.append(Raw(Position(uses[name].stream, name, offsets[name]), RECEIVED, record.text.encode()))
        offsets[name] += 1
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield [*batch, *(Tick(use.stream, name, RECEIVED, "ended") for name, use in uses.items())]


@pytest.mark.parametrize("scenario", sorted(load_scenarios([ROOT])[0].values(), key=lambda one: one.id), ids=lambda one: one.id)
def test_no_detector_fires_in_a_quiet_week(scenario, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # read above
    planned = plan(scenario, SEED, LINES)
    book, problems = Book.load(Document(tmp_path / "ledger.yaml", "", ledger_of(planned)))
    assert problems == keep_ledger(tmp_path, book.entries)[2] == []
    deployment = assemble([ROOT], tmp_path, b"k" * 32, ZONE)
    states = Memory()
    findings: dict[str, Finding] = {}
    accounts: set[str] = set()
    events = 0
    for batch in quiet_week(planned):
        outcome = process_batch(batch, deployment.road, states)
        states.absorb(outcome.states, outcome.clocks)
        findings |= {finding.id: finding for finding in outcome.findings}
        seen = [context.event for context in outcome.passed if not isinstance(context, Tick)]
        accounts.update(event.fields["user.name"] for event in seen if "user.name" in event.fields)
        events += len(seen)
    excused = {file.id for file in deployment.files for known in file.known_false if known.where == scenario.id}
    accused = [one for one in findings.values() if one.kind in ACCUSING and one.detector not in excused]
    assert [(one.detector, one.entity.id, one.count) for one in accused] == []
    assert events > LINES / 3
    assert len(accounts) > 100
