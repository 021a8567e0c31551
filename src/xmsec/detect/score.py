"""How grave a finding is: severity from its detector, risk from severity, grade and extent."""

from __future__ import annotations

from math import log10

from xmsec.model.types import LEVELS, SEVERITIES, Level, Severity

_BASE = {"informational": 5, "low": 20, "medium": 40, "high": 60, "critical": 80}


def risk(severity: Severity, grade: Level | None, count: int) -> int:
    """Risk from 0 to 100: the severity's base, up to 10 for the grade of the data, up to 10 for the extent.

    >>> risk("high", "general-3", 1000)
    72
    """
    by_grade = 0 if grade is None else 2 * LEVELS.index(grade)
    by_count = min(10, round(2.5 * log10(max(count, 1))))
    return min(100, _BASE[severity] + by_grade + by_count)


def graver(first: Level | None, second: Level | None) -> Level | None:
    """Return the graver of two levels, None counting least."""
    if first is None or second is None:
        return second if first is None else first
    return max(first, second, key=LEVELS.index)


def rank(severity: Severity) -> int:
    """Order of a severity, 0 (informational) to 4."""
    return SEVERITIES.index(severity)
