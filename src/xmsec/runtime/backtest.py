"""What a detector would have told over the time that was recorded, and whom; beside the truth where it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from xmsec.model.clock import DAY, from_rfc3339
from xmsec.model.types import Finding, Tick
from xmsec.pipeline.road import Road, Taken
from xmsec.runtime.recorded import replay
from xmsec.runtime.trial import Made
from xmsec.runtime.truth import Row
from xmsec.store.rows import finding_row

ENTITIES = 10  # whom it tells most of
GRAVEST = 5


class Seen:
    """Counts what passes by: events, and the first and last moment of event time."""

    def __init__(self, batches: Iterable[Taken]) -> None:
        self._batches = batches
        self.events = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def __iter__(self) -> Iterator[Taken]:
        for batch in self._batches:
            events = [row[0] for row in batch.passed if not isinstance(row, Tick)]
            times = [event.time for event in events if "far_future" not in event.flags]
            if times:
                self.first = min(times if self.first is None else (self.first, *times))
                self.last = max(times if self.last is None else (self.last, *times))
            self.events += len(events)
            yield batch


class Measured(msgspec.Struct, frozen=True):
    """Findings beside the truth.

    expected, found: incidents within the span that name this detector, and those of which it told; recall and precision None:
    there was nothing to tell, nothing was told; missed, unexplained: the incidents that it left out, and findings that no
    incident explains, by entity.
    """

    expected: int
    found: int
    recall: float | None
    precision: float | None
    missed: Sequence[Mapping[str, Any]]
    unexplained: Sequence[Mapping[str, Any]]


class Backtest(msgspec.Struct, frozen=True):
    """What one detector told.

    days: of event time, one at least; entities_per_day: what an alert budget is about, entities told a day;
    by_day: by local day of the windows' start; open: of findings, those whose window had not closed.
    """

    detector: str
    version: str
    severity: str
    start: datetime | None
    end: datetime | None
    events: int
    days: float
    findings: int
    open: int
    per_day: float
    entities: int
    entities_per_day: float
    budget_per_day: float | None
    by_severity: Mapping[str, int]
    by_day: Mapping[str, int]
    by_entity: Sequence[Mapping[str, Any]]
    gravest: Sequence[Mapping[str, Any]]
    truth: Measured | None = None


def backtest(made: Made, road: Road, batches: Iterable[Taken], zone: tzinfo, truth: Sequence[Row] | None = None) -> Backtest:
    """Carry recordings along a road on which this detector stands alone."""
    seen = Seen(batches)
    told = replay(road, seen)
    days = 1.0 if seen.first is None or seen.last is None else max((seen.last - seen.first) / DAY, 1.0)
    by_day = Counter(_day(finding, zone) for finding in told)
    pairs = {(_day(finding, zone), finding.entity) for finding in told}
    rows = [finding_row(finding) for finding in sorted(told, key=lambda one: (-one.risk, one.time, one.id))]
    return Backtest(
        detector=made.id,
        version=road.detectors[made.id].version if made.id in road.detectors else made.version,
        severity=made.severity,
        start=seen.first,
        end=seen.last,
        events=seen.events,
        days=round(days, 2),
        findings=len(told),
        open=sum(finding.state == "open" for finding in told),
        per_day=round(len(told) / days, 2),
        entities=len({finding.entity for finding in told}),
        entities_per_day=round(len(pairs) / days, 2),
        budget_per_day=getattr(made, "budget_per_day", None),
        by_severity=dict(sorted(Counter(finding.severity for finding in told).items())),
        by_day=dict(sorted(by_day.items())),
        by_entity=_by_entity(rows)[:ENTITIES],
        gravest=rows[:GRAVEST],
        truth=None if truth is None else measured(made.id, rows, truth, (seen.first, seen.last)),
    )


def measured(
    detector: str, findings: Sequence[Mapping[str, Any]], truth: Sequence[Row], span: tuple[datetime | None, datetime | None]
) -> Measured:
    """Compare findings with the happenings that lie within a span of event time."""
    first, last = span
    within = [row for row in truth if first is not None and last is not None and row.start <= last and first < row.end]
    expected = [row for row in within if detector in row.expect]
    missed = [row for row in expected if not any(map(row.covers, findings))]
    incidents = [row for row in truth if row.expect]
    unexplained = [finding for finding in findings if not any(row.covers(finding) for row in incidents)]
    found = len(expected) - len(missed)
    return Measured(
        len(expected),
        found,
        round(found / len(expected), 4) if expected else None,
        round(1 - len(unexplained) / len(findings), 4) if findings else None,
        [{"scenario": row.scenario, "entity": row.entity, "start": row.start, "end": row.end} for row in missed],
        _by_entity(unexplained),
    )


def _by_entity(findings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count findings and the events that they rest on, by entity: who has most comes first."""
    told: dict[tuple[str, str], list[int]] = {}
    for finding in findings:
        counts = told.setdefault((finding["entity"]["type"], finding["entity"]["id"]), [0, 0])
        counts[0] += 1
        counts[1] += finding["count"]
    ranked = sorted(told.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
    return [{"entity": {"type": kind, "id": name}, "findings": n, "count": count} for (kind, name), (n, count) in ranked]


def _day(finding: Finding, zone: tzinfo) -> str:
    return finding.window.start.astimezone(zone).date().isoformat()


class Difference(msgspec.Struct, frozen=True):
    """What became of one finding. before, after: as findings are printed; None where there is none."""

    change: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


WHAT = ("severity", "count", "risk", "grade", "state", "time", "first_seen", "labels", "playbooks", "window")


def differences(before: Sequence[Finding], after: Sequence[Finding]) -> list[Difference]:
    """Say which findings appear, disappear and change, in their order; other words alone are no change."""
    old, new = ({finding.id: finding_row(finding) for finding in told} for told in (before, after))
    found: list[Difference] = []
    for name in old.keys() | new.keys():
        was, now = old.get(name), new.get(name)
        if was is None or now is None:
            found.append(Difference("appears" if was is None else "disappears", was, now))
        elif any(was[part] != now[part] for part in WHAT):
            found.append(Difference("changes", was, now))
    return sorted(found, key=lambda one: (one.change, _order(one)))


def _order(one: Difference) -> tuple[datetime, str]:
    row = one.after or one.before or {}
    return from_rfc3339(row["time"]), str(row["id"])
