"""What became of each line of each input: counts by partition, kept in the transaction that holds the positions.

So a scan that was interrupted accounts for every line once, and a repeated one says the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from xmsec.model.ports import Outcome
from xmsec.model.types import SEVERITIES, Source
from xmsec.sources.file import Reading

_PREFIX = "tally:"
_REACHED = "reached:"


class Tally:
    """Counts (what, detail) → how often, by source partition. A batch of a file holds records of one partition."""

    def __init__(self, meta: Mapping[str, str]) -> None:
        self._by_source: dict[Source, Counter[tuple[str, str]]] = {}
        for name, value in meta.items():
            if name.startswith(_PREFIX):
                stream, _, partition = name.removeprefix(_PREFIX).partition("\x1f")
                pairs = msgspec.json.decode(value, type=list[tuple[str, str, int]])
                self._by_source[stream, partition] = Counter({(what, detail): count for what, detail, count in pairs})

    def append(self, outcomes: Sequence[Outcome]) -> Mapping[str, str]:
        """Count what batches gave; return the entries of the partitions that moved."""
        moved: set[Source] = set()
        for outcome in outcomes:
            if not outcome.counts:
                continue
            (source,) = outcome.clocks
            moved.add(source)
            counts = self._by_source.setdefault(source, Counter())
            for (what, _, detail), count in outcome.counts.items():
                counts[what, detail] += count
        return {_PREFIX + "\x1f".join(source): _encode(self._by_source[source]) for source in sorted(moved)}

    def total(self, sources: Collection[Source]) -> Counter[tuple[str, str]]:
        """Add up the counts of some partitions."""
        total: Counter[tuple[str, str]] = Counter()
        for source in sources:
            total.update(self._by_source.get(source, Counter()))
        return total


class Reached:
    """How many bytes of each input were given, kept with its positions: those name the last line's start, this its end."""

    def __init__(self, readings: Sequence[Reading], meta: Mapping[str, str]) -> None:
        self._readings = {_REACHED + "\x1f".join(reading.source): reading for reading in readings}
        self._written = {name: int(meta[name]) for name in self._readings if name in meta}
        for name, reached in self._written.items():
            self._readings[name].reached = max(reached, self._readings[name].reached)

    def append(self, outcomes: Sequence[Outcome]) -> Mapping[str, str]:
        """Return the entries of the inputs that went on."""
        now = {name: reading.reached for name, reading in self._readings.items()}
        moved = {name: str(reached) for name, reached in now.items() if self._written.get(name) != reached}
        self._written = now
        return moved


def _encode(counts: Mapping[tuple[str, str], int]) -> str:
    return msgspec.json.encode(sorted((what, detail, count) for (what, detail), count in counts.items())).decode()


def summary(
    counts: Mapping[tuple[str, str], int], severities: Iterable[str], positions: Mapping[str, int], problems: Iterable[str]
) -> dict[str, Any]:
    """Make the summary of a scan as CONTRACT writes it; problems: reasons why whole inputs broke off."""
    rejected = Counter({detail.partition(":")[2]: count for (what, detail), count in counts.items() if what == "rejected"})
    rejected.update(problems)
    parsed, blank = counts.get(("parsed", ""), 0), counts.get(("blank", ""), 0)
    refused = sum(count for (what, _), count in counts.items() if what == "rejected")
    found = Counter(severities)
    return {
        "lines": parsed + blank + refused,
        "blank": blank,
        "parsed": parsed,
        "cut": counts.get(("cut", ""), 0),
        "replaced": counts.get(("replaced", ""), 0),
        "late": counts.get(("late", ""), 0),
        "far_future": counts.get(("far_future", ""), 0),
        "untokenised": sum(count for (what, _), count in counts.items() if what == "untokenised"),
        "rejected": dict(sorted(rejected.items())),
        "tokens": {detail: count for (what, detail), count in sorted(counts.items()) if what == "tokens"},
        "findings": {severity: found[severity] for severity in SEVERITIES if found[severity]},
        "positions": dict(positions),
    }
