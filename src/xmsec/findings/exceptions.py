"""Findings that an exception covers carry its id; they are kept and counted, and make no incident.

What decides is the finding's own window and content, never the clock on the wall: the same events under the same content give
the same answer in any run. An exception that has expired and would still cover says so in a finding of its own, one for each
exception, system and local day, which holds nothing of the finding that woke it: whoever says it says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo

import msgspec

from xmsec.content.exceptions import ExceptionFile, Trial
from xmsec.content.wildcard import Test, any_of
from xmsec.detect.fold import LABELS
from xmsec.model.clock import DAY, rfc3339, window_of
from xmsec.model.ids import finding_id
from xmsec.model.types import UNIT_SEPARATOR, Entity, Explanation, Finding, Key, Window

EXPIRED = "exception-expired"  # the detector that speaks of exceptions past their expiry
TITLE = "例外已到期仍在命中 · An exception has expired and still would cover findings"
VERSION = "1"


class Rule:
    """One exception, ready to judge."""

    def __init__(self, file: ExceptionFile) -> None:
        self.file = file
        self._tests: list[tuple[str, Test]] = [(column, any_of(file.wanted(column))) for column in file.when]

    def matches(self, finding: Finding) -> bool:
        """Whether all conditions hold, whatever the time."""
        return all(_holds(column, test, finding) for column, test in self._tests)

    def covers(self, finding: Finding) -> bool:
        """Whether it covers this finding: by its conditions, and by its window's start."""
        return self.file.start <= finding.window.start < self.file.until and self.matches(finding)

    def overdue(self, finding: Finding) -> bool:
        """Whether it would cover this finding had it not expired; one that somebody ended asks for nothing."""
        return self.file.ended is None and finding.window.start >= self.file.expires and self.matches(finding)


def _holds(column: str, test: Test, finding: Finding) -> bool:
    """Of datasets all must be meant: an exception never hides more than it says, nor what it cannot know (a list cut off)."""
    if column == "dataset":
        return 0 < len(finding.datasets) < LABELS and all(map(test, finding.datasets))
    if column == "entity.id":
        value = finding.entity.id
        return test(value) or (UNIT_SEPARATOR in value and test(value.replace(UNIT_SEPARATOR, " / ")))
    found = finding.entity.type if column == "entity.type" else getattr(finding, column)
    return found is not None and test(found)


class Exceptions:
    """All exceptions of a deployment. zone: whose days an expired one speaks by."""

    def __init__(self, files: Iterable[ExceptionFile] = (), zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._rules: dict[str, list[Rule]] = {}
        for file in sorted(files, key=lambda one: one.id):
            rule = Rule(file)
            for detector in dict.fromkeys(file.wanted("detector")):
                self._rules.setdefault(detector, []).append(rule)

    def judge(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings with the id of the first exception that covers each, and behind them what expired ones say."""
        if not self._rules:
            return list(findings)
        told: list[Finding] = []
        overdue: dict[str, Finding] = {}
        for finding in findings:
            rules = self._rules.get(finding.detector, ())
            covering = next((rule.file.id for rule in rules if rule.covers(finding)), None)
            told.append(finding if covering is None else msgspec.structs.replace(finding, exception=covering))
            if covering is None and finding.state == "final":
                news = (self._expired(rule.file, finding) for rule in rules if rule.overdue(finding))
                overdue.update((one.id, one) for one in news)
        return [*told, *overdue.values()]

    def _expired(self, file: ExceptionFile, hit: Finding) -> Finding:
        """Say that an exception is past its expiry: by its own file, the system and the day alone."""
        day = window_of(hit.window.start, DAY, self._zone)
        key = Key("exception", file.id)
        return Finding(
            id=finding_id(EXPIRED, key, f"{hit.system} {day.start.isoformat()}"),
            time=max(day.start, file.expires),
            first_seen=max(day.start, file.expires),
            detector=EXPIRED,
            version=VERSION,
            kind="coverage",
            title=TITLE,
            severity="low",
            risk=20,
            system=hit.system,
            stream="",
            entity=Entity(key.kind, key.value),
            count=1,
            window=Window(day.start, day.end),
            state="final",
            explanation=(
                Explanation("reason", file.reason),
                Explanation("owner", file.owner),
                Explanation("expires", rfc3339(file.expires), "not reached"),
            ),
        )


NONE = Exceptions()


def is_case(finding: Finding) -> bool:
    """Whether a finding belongs into an incident: one that is covered does not, nor one that speaks of an exception."""
    return finding.exception is None and finding.detector != EXPIRED


def tried(file: ExceptionFile) -> list[str]:
    """Run the tests inside; return a line for each that fails."""
    rule = Rule(file)
    failures: list[str] = []
    for trial in file.tests:
        covered = rule.covers(_finding(trial, trial.at or file.start))
        if covered is not trial.covered:
            failures.append(f'"{trial.name}": {"covered" if covered else "not covered"}')
    return failures


def _finding(trial: Trial, at: datetime) -> Finding:
    """Make a finding of what a test says of one; what it does not say is empty, and no condition holds for it."""
    said: Mapping[str, str | tuple[str, ...]] = trial.finding

    def text(column: str) -> str:
        value = said.get(column, "")
        return value if isinstance(value, str) else (*value, "")[0]

    datasets = said.get("dataset", ())
    return Finding(
        id="",
        time=at,
        first_seen=at,
        detector=text("detector"),
        version="",
        kind=text("kind"),  # type: ignore[arg-type]  # a test's words: compared with, never kept
        title="",
        severity=text("severity"),  # type: ignore[arg-type]
        risk=0,
        system=text("system") or text("stream").partition(".")[0],
        stream=text("stream"),
        stage=text("stage") or None,  # type: ignore[arg-type]
        grade=text("grade") or None,  # type: ignore[arg-type]
        entity=Entity(text("entity.type"), text("entity.id").replace(" / ", UNIT_SEPARATOR)),  # type: ignore[arg-type]
        count=1,
        window=Window(at, at),
        state="final",
        datasets=(datasets,) if isinstance(datasets, str) else datasets,
    )
