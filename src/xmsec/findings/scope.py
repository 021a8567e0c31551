"""How far an incident reaches: datasets, grades, people, as far as its findings show it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from xmsec.model.clock import from_rfc3339
from xmsec.model.types import LEVELS

_TOKEN = re.compile(r"⟨([A-Z][A-Z0-9_]*):[0-9a-f]{16}⟩")


class Scope(msgspec.Struct, frozen=True):
    """What was touched, and when. grades: grade → findings, the gravest first; labels: types of what was seen.

    subjects: type → distinct tokens in the evidence; at_least: there are events beyond the evidence (five a finding), so that
    there may be more subjects. `xmsec trail` counts them all.
    """

    first: datetime
    last: datetime
    findings: int
    events: int
    systems: tuple[str, ...]
    entities: tuple[tuple[str, str], ...]
    datasets: tuple[str, ...]
    grades: dict[str, int]
    labels: tuple[str, ...]
    subjects: dict[str, int]
    at_least: bool


def scope(findings: Iterable[Mapping[str, Any]]) -> Scope | None:
    """Add up findings as a Reader gives them; None without any."""
    rows = list(findings)
    if not rows:
        return None
    tokens = {
        token.group(0): token.group(1) for row in rows for text in _texts(row["evidence"]) for token in _TOKEN.finditer(text)
    }
    grades = Counter(row["grade"] for row in rows if row["grade"])
    return Scope(
        first=min(from_rfc3339(row["first_seen"]) for row in rows),
        last=max(from_rfc3339(row["time"]) for row in rows),
        findings=len(rows),
        events=sum(row["count"] for row in rows),
        systems=tuple(sorted({row["system"] for row in rows})),
        entities=tuple(sorted({(row["entity"]["type"], row["entity"]["id"]) for row in rows})),
        datasets=tuple(sorted({name for row in rows for name in row["datasets"]})),
        grades={level: grades[level] for level in reversed(LEVELS) if grades[level]},
        labels=tuple(sorted({name for row in rows for name in row["labels"]})),
        subjects=dict(sorted(Counter(tokens.values()).items())),
        at_least=any(row["count"] > len(row["evidence"]) for row in rows),
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
