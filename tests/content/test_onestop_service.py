"""The one-stop service: streams read their own lines, detectors hold their tests, and the whole road finds the truth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.rules import ROOT, ZONE, loaded, runner

from xmsec.content.detectors import DetectorFile, load_detectors
from xmsec.content.expect import check
from xmsec.content.lint.every import lint
from xmsec.content.lint.issue import Known
from xmsec.content.load import read
from xmsec.content.scenarios import load_scenarios
from xmsec.content.streams import check_samples, load_streams
from xmsec.ledger.read import entries_of
from xmsec.model.states import Memory
from xmsec.model.types import Event, Finding, Position, Raw, Tick
from xmsec.parse.road import parser
from xmsec.pipeline.batch import process_batch
from xmsec.runtime.assemble import assemble, keep_ledger
from xmsec.simulate.scenario import Plan, plan, run
from xmsec.simulate.write import write

SYSTEM = "onestop-service"
RECEIVED = datetime(2026, 11, 1, tzinfo=UTC)
BATCH = 2_000
SEEDS = (101, 202)  # other than those used while the detectors were written
SIZE = 15_000
STREAMS = {name: stream for name, stream in load_streams([ROOT])[0].items() if stream.system == SYSTEM}
FILES = [file for file in load_detectors([ROOT])[0] if file.path.parent.name == SYSTEM]
MADE = loaded(FILES)
VALUES = {
    "resident id": r"(?<![0-9A-Za-z])3502\d{13}[\dX](?![0-9A-Za-z])",
    "mobile": r"(?<![0-9A-Za-z])1[3-9]\d{9}(?![0-9A-Za-z])",
    "certificate": r"1\.2\.156\.3005\.2\.",
    "social credit code": r"(?<![0-9A-Za-z])9135\d{4}[0-9A-Z]{10}(?![0-9A-Za-z])",
    "bank card": r"(?<!\d)62\d{17}(?!\d)",
    "plate": r"闽D[0-9A-Z]{5,6}",
    "e-mail": r"[a-z]+\d{4}@example",
}


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_stream_reads_its_samples(name: str) -> None:
    assert check_samples(STREAMS[name], parser(STREAMS, ZONE)) == []


def test_the_detectors_load_and_the_lint_has_nothing_to_say() -> None:
    assert [str(problem) for problem in MADE.problems] == []
    assert [
        str(issue) for issue in lint(FILES, Known(playbooks=frozenset({"contain-account"}))) if issue.severity == "error"
    ] == []


@pytest.mark.parametrize("file", [file for file in FILES if file.tests], ids=lambda file: file.id)
def test_a_detector_s_own_tests_hold(file: DetectorFile) -> None:
    assert [str(failure) for failure in check(file, runner(MADE))] == []


class Told:
    """What the whole road made of one simulated system."""

    def __init__(self, planned: Plan, home: Path) -> None:
        simulated = write(planned, home / "traffic")
        self.truth = [json.loads(line) for line in simulated.truth.read_text(encoding="utf-8").splitlines()]
        entries, problems = entries_of(read(simulated.ledger))
        assert entries is not None
        assert problems == keep_ledger(home, entries)[2] == []
        road = assemble([ROOT], home, b"k" * 32, ZONE).road
        states = Memory()
        self.findings: dict[str, Finding] = {}
        self.rejected = self.seen = 0
        self.values: dict[str, str] = {}
        for batch in batches(planned):
            outcome = process_batch(batch, road, states)
            states.absorb(outcome.states, outcome.clocks)
            self.findings |= {finding.id: finding for finding in outcome.findings}
            self.rejected += len(outcome.rejected)
            self._look([context.event for context in outcome.passed if not isinstance(context, Tick)])

    def _look(self, events: list[Event]) -> None:
        """Look for values that are left in events, all fields of a batch at once."""
        self.seen += len(events)
        text = "\n".join(value for event in events for value in event.fields.values() if isinstance(value, str))
        for what, pattern in VALUES.items():
            found = re.search(pattern, text)
            if found is not None:
                self.values.setdefault(what, text[max(0, found.start() - 40) : found.end()])

    def about(self, row: Mapping[str, Any]) -> set[str]:
        """Return which detectors spoke of a row's entity in its time."""
        start, end = (datetime.fromisoformat(row[edge]) for edge in ("start", "end"))
        return {
            finding.detector
            for finding in self.findings.values()
            if (finding.entity.type, finding.entity.id) == (row["entity"]["type"], row["entity"]["id"])
            and finding.window.start < end
            and start < finding.window.end
        }

    def false(self) -> list[Finding]:
        """Return findings above the informational on what is not an incident's entity."""
        guilty = {(row["entity"]["type"], row["entity"]["id"]) for row in self.truth if row["expect"]}
        return [
            finding
            for finding in self.findings.values()
            if (finding.entity.type, finding.entity.id) not in guilty and finding.severity != "informational"
        ]


def batches(planned: Plan) -> Iterator[list[Raw | Tick]]:
    uses = planned.scenario.streams
    offsets = dict.fromkeys(uses, 0)
    batch: list[Raw | Tick] = [Tick(use.stream, name, RECEIVED, "open") for name, use in uses.items()]
    for record in run(planned):
        name = record.stream
        batch.append(Raw(Position(uses[name].stream, name, offsets[name]), RECEIVED, record.text.encode()))
        offsets[name] += 1
        if len(batch) >= BATCH:
            yield batch
            batch = []
    yield [*batch, *(Tick(use.stream, name, RECEIVED, "ended") for name, use in uses.items())]


@pytest.fixture(scope="module", params=SEEDS, ids=lambda seed: f"seed{seed}")
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    scenario = load_scenarios([ROOT])[0][SYSTEM]
    return Told(plan(scenario, request.param, SIZE), tmp_path_factory.mktemp("home"))


def test_every_line_is_read(told: Told) -> None:
    assert told.rejected == 0
    assert told.seen > SIZE * 0.85


def test_every_incident_is_found(told: Told) -> None:
    missed = [row["scenario"] for row in told.truth if not set(row["expect"]) <= told.about(row)]
    assert missed == []


def test_the_oddities_stay_silent(told: Told) -> None:
    assert {row["scenario"]: told.about(row) for row in told.truth if not row["expect"] and told.about(row)} == {}


def test_nobody_else_is_accused(told: Told) -> None:
    assert [(finding.detector, finding.entity, finding.count) for finding in told.false()] == []


@pytest.mark.parametrize("what", VALUES)
def test_no_value_is_left_in_any_event(told: Told, what: str) -> None:
    assert told.values.get(what) is None
