"""Figures of a running deployment, as Prometheus reads them. A label names content, a topic or a type, never a value.

Names follow Prometheus: a counter ends in `_total`, a unit is the base unit and stands in the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from xmsec.model.types import Source

CONTENT_TYPE = "text/plain; version=0.0.4"
Labels = tuple[tuple[str, str], ...]
Rows = Mapping[tuple[str, ...], float]  # label values → value


class Metric(msgspec.Struct, frozen=True):
    """One family: its name, what it means, and its samples by their labels."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    samples: Mapping[Labels, float]


def exposition(metrics: Iterable[Metric]) -> str:
    """Write families in Prometheus's text format, in the order of names and labels; families without samples are left out."""
    lines: list[str] = []
    for metric in sorted(metrics, key=lambda one: one.name):
        if metric.samples:
            lines += (f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}")
            lines += (f"{metric.name}{_labels(labels)} {_number(value)}" for labels, value in sorted(metric.samples.items()))
    return "".join(line + "\n" for line in lines)


def counter(name: str, meaning: str, names: Sequence[str], rows: Rows) -> Metric:
    """Make a counter."""
    return Metric(name, "counter", meaning, {tuple(zip(names, row, strict=True)): value for row, value in rows.items()})


def gauge(name: str, meaning: str, names: Sequence[str], rows: Rows) -> Metric:
    """Make a gauge."""
    return Metric(name, "gauge", meaning, {tuple(zip(names, row, strict=True)): value for row, value in rows.items()})


def counted(counts: Mapping[tuple[str, str, str], int]) -> list[Metric]:
    """Sort what the road counts, (what, stream, detail) → total, into families."""
    records: dict[tuple[str, ...], float] = {}
    rejected: dict[tuple[str, ...], float] = {}
    tokens: dict[tuple[str, ...], float] = {}
    bare: dict[tuple[str, ...], float] = {}
    for (what, stream, detail), count in counts.items():
        if what == "rejected":
            leg, _, reason = detail.partition(":")
            rejected[stream, leg, reason] = count
        elif what == "tokens":
            tokens[stream, detail] = count
        elif what == "untokenised":
            bare[stream, detail] = count
        else:
            records[what, stream] = records.get((what, stream), 0) + count
    return [
        counter("xmsec_records_total", "Records by what became of them.", ("what", "stream"), records),
        counter(
            "xmsec_rejected_records_total",
            "Records that a leg refused; each is a dead letter.",
            ("stream", "leg", "reason"),
            rejected,
        ),
        counter("xmsec_tokens_total", "Values that became tokens.", ("stream", "type"), tokens),
        counter(
            "xmsec_untokenised_fields_total",
            "Fields replaced whole.",
            ("stream", "field"),
            bare,
        ),
    ]


def budgets(told: Mapping[str, int], per_day: Mapping[str, float]) -> list[Metric]:
    """Hold what models told today (detector → entities) against their budgets (detector → entities a day)."""
    used: Rows = {(name,): told.get(name, 0) / budget for name, budget in per_day.items()}
    allowed: Rows = {(name,): budget for name, budget in per_day.items()}
    meaning = "Entities a day that a model may tell although nothing is wrong."
    return [
        gauge("xmsec_alert_budget_entities", meaning, ("detector",), allowed),
        gauge("xmsec_alert_budget_used_ratio", "Entities told today, as a share of the budget.", ("detector",), used),
    ]


def event_times(reached: Mapping[Source, datetime | None]) -> Metric:
    """Say how far each partition's event time has come."""
    rows: Rows = {source: moment.timestamp() for source, moment in reached.items() if moment is not None}
    name = "xmsec_event_time_timestamp_seconds"
    return gauge(name, "The latest event time that a partition has shown.", ("stream", "partition"), rows)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels) + "}"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
