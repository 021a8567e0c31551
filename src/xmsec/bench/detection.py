"""How well the shipped content finds what a simulated system's truth says, and how often it cries without cause.

As `xmsec demo` does it: two weeks are simulated from a seed, models learn from the first, the second is watched. An incident is
found when a detector that its truth expects speaks of its entity in its time. A false alarm is a finding of severity medium or
graver (coverage left out: it speaks of the platform, not of people) whose entity and time no incident has. Findings on what the
truth calls an oddity are such false alarms too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from xmsec.classify.token import check_value
from xmsec.content.scenario import Scenario
from xmsec.detect.score import rank
from xmsec.model.clock import DAY, from_rfc3339
from xmsec.model.types import Context
from xmsec.runtime.assemble import assemble
from xmsec.runtime.files import FileRun, Rig
from xmsec.runtime.rehearsed import adopt, learn, learned, simulate, sources
from xmsec.runtime.truth import Row, read_truth
from xmsec.store.sqlite import SqliteStore

KEY = bytes(range(32))  # of a bench: its tokens leave nothing behind
ALARM = rank("medium")  # what is less is told to whoever looks, and calls nobody
GRAIN_LINES = 10  # lines a batch: how exactly is known when a finding was first told


class Found(msgspec.Struct, frozen=True):
    """One incident: which of the detectors that were expected spoke of it, and how long after its start (event time)."""

    system: str
    name: str
    expected: tuple[str, ...]
    found: tuple[str, ...]
    late_s: float | None


class Oddity(msgspec.Struct, frozen=True):
    """One oddity: silent, or who spoke of it although nothing was wrong."""

    system: str
    name: str
    silent: bool
    told_by: tuple[str, ...]


class Judged(msgspec.Struct, frozen=True):
    """What the content was worth on one seed.

    events, days: of the time that was watched; false: false alarms by detector and entity; quiet: findings below an alarm that
    no incident explains, by severity.
    """

    seed: int
    events: int
    days: float
    scenarios: tuple[Found, ...]
    oddities: tuple[Oddity, ...]
    recall: float
    precision: float
    false_per_10k: float
    false_per_day: float
    alarms: int
    false: tuple[tuple[str, str, int], ...]
    quiet: Mapping[str, int]


def detection(dirs: Sequence[Path], scenarios: Sequence[Scenario], seed: int, events: int | None) -> Judged:
    """Judge the content on simulated systems. events: about how many lines each writes (None: as its file says)."""
    with TemporaryDirectory(prefix="xmsec-bench-") as name:
        home = Path(name)
        folders = {scenario.id: home / "traffic" / scenario.id for scenario in scenarios}
        truth: list[Row] = []
        for scenario in scenarios:
            made = simulate(scenario, folders[scenario.id], seed, events)
            for problem in adopt(home, made.ledger):
                raise problem
            truth += read_truth(made.truth)
        begin = max(map(learned, scenarios))
        watch = Watch(begin)
        zone = ZoneInfo(scenarios[0].zone)
        with _rig(dirs, home, zone) as rig:
            watch.follow(FileRun(rig, sources(folders, scenarios, _now, GRAIN_LINES), monotonic), until=begin)
            for _ in learn(rig, home / "models", zone):
                pass
        with _rig(dirs, home, zone) as rig:
            run = FileRun(rig, sources(folders, scenarios, _now, GRAIN_LINES), monotonic)
            watch.follow(run, until=None)
            findings = [finding for finding in run.findings() if finding["kind"] != "coverage"]
    return judged(seed, truth, findings, watch)


class Watch:
    """What is seen while the road runs: how many events since the learning ended, and when each finding was first told."""

    def __init__(self, begin: datetime) -> None:
        self.begin = self.now = begin
        self.events = 0
        self.told: dict[str, datetime] = {}

    def follow(self, run: FileRun, until: datetime | None) -> None:
        """Drive a run; event time is the latest that any partition has reached."""
        for outcomes in run.drive(until):
            for outcome in outcomes:
                reached = [clock.maximum for clock in outcome.clocks.values() if clock.maximum is not None]
                self.now = max([self.now, *reached])
                self.events += sum(isinstance(item, Context) and item.event.time >= self.begin for item in outcome.passed)
                for finding in outcome.findings:
                    self.told.setdefault(finding.id, self.now)


def judged(seed: int, truth: Sequence[Row], findings: Sequence[Mapping[str, Any]], watch: Watch) -> Judged:
    """Compare what was told with what happened."""
    incidents = [row for row in truth if row.expect]
    found = tuple(_found(row, [finding for finding in findings if row.covers(finding)], watch.told) for row in incidents)
    oddities = tuple(_oddity(row, findings, incidents) for row in truth if not row.expect)
    watched = [one for one in findings if from_rfc3339(one["window"]["end"]) > watch.begin]
    unexplained = [one for one in watched if not any(row.covers(one) for row in incidents)]
    alarms = [one for one in watched if _alarms(one)]
    false = Counter(_who(one) for one in unexplained if _alarms(one))
    wrong = false.total()
    days = max((watch.now - watch.begin) / DAY, 1 / 24)
    return Judged(
        seed=seed,
        events=watch.events,
        days=round(days, 2),
        scenarios=found,
        oddities=oddities,
        recall=sum(bool(one.found) for one in found) / max(len(found), 1),
        precision=round((len(alarms) - wrong) / len(alarms), 4) if alarms else 1.0,
        false_per_10k=round(wrong * 10_000 / max(watch.events, 1), 3),
        false_per_day=round(wrong / days, 3),
        alarms=len(alarms),
        false=tuple((*who, count) for who, count in sorted(false.items())),
        quiet=dict(sorted(Counter(one["severity"] for one in unexplained if not _alarms(one)).items())),
    )


def _found(row: Row, spoken: Sequence[Mapping[str, Any]], told: Mapping[str, datetime]) -> Found:
    expected = [finding for finding in spoken if finding["detector"] in row.expect]
    first = min((told[finding["id"]] for finding in expected), default=None)
    late_s = None if first is None else max((first - row.start).total_seconds(), 0.0)
    return Found(row.system, row.scenario, row.expect, tuple(sorted({finding["detector"] for finding in expected})), late_s)


def _oddity(row: Row, findings: Sequence[Mapping[str, Any]], incidents: Sequence[Row]) -> Oddity:
    """Say who spoke of an oddity; of an entity that had an incident too, only what the incident does not explain."""
    spoken = [one for one in findings if row.covers(one) and _alarms(one)]
    told_by = {one["detector"] for one in spoken if not any(incident.covers(one) for incident in incidents)}
    return Oddity(row.system, row.scenario, not told_by, tuple(sorted(told_by)))


def _alarms(finding: Mapping[str, Any]) -> bool:
    return rank(finding["severity"]) >= ALARM


def _who(finding: Mapping[str, Any]) -> tuple[str, str]:
    return finding["detector"], f"{finding['entity']['type']} {finding['entity']['id']}"


@contextmanager
def _rig(dirs: Sequence[Path], home: Path, zone: ZoneInfo) -> Iterator[Rig]:
    deployment = assemble(dirs, home, KEY, zone)
    store = SqliteStore(home / "store.sqlite", deployment.codecs)
    try:
        yield Rig(deployment, store, home / "recordings", check_value(KEY))
    finally:
        store.close()


def _now() -> datetime:
    return datetime.now(UTC)
