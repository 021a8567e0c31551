"""Situation: risk now and its course, where it is, how data flows, which sources speak, and what is not seen.

Every figure leads to the list behind it. The page looks at a span of time that ends now; where nothing was found within it, at
the end of what was found (a replay, a demonstration).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

import msgspec
from starlette.responses import Response

from xmsec.console.ask import Ask, Page, View
from xmsec.console.pages import sources
from xmsec.console.pages.flows import drawn
from xmsec.console.pages.span import SPANS, UNRESOLVED, Span, asked_for
from xmsec.console.scoped import Scoped
from xmsec.model.ports import Query
from xmsec.model.types import SEVERITIES, Stage

GRAVEST = 6
SYSTEMS = 8  # that a chart tells apart; the rest is one
GAPS = 6
SHADES = 5  # of the heat map


def shown(ask: Ask) -> Response:
    """Show the situation; asked for by the page itself, its panels alone."""
    reader = ask.reader("situation.read")
    span = asked_for(ask, reader)
    facts: dict[str, Any] = {"span": span, "spans": SPANS, "matrix": _matrix(reader, span), "gaps": _gaps(reader)}
    facts |= {"findings": _unresolved(reader, "findings"), "incidents": _unresolved(reader, "incidents")}
    facts |= {"gravest": _gravest(reader), "charts": _charts(ask, reader, span)}
    facts |= {"flow": drawn(ask, reader, span), "streams": sources.figures_of(ask, "situation.read")}
    return ask.page("situation_panels.html" if ask.partial else "situation.html", **facts)


def _unresolved(reader: Scoped, table: Any) -> Sequence[tuple[str, int]]:
    counts = reader.count(Query(table, {"status": UNRESOLVED}), ("severity",))
    return [(severity, counts.get((severity,), 0)) for severity in reversed(SEVERITIES)]


def _gravest(reader: Scoped) -> Sequence[Mapping[str, Any]]:
    return reader.page(Query("incidents", {"status": UNRESOLVED}, order="-risk", limit=GRAVEST)).rows


def _charts(ask: Ask, reader: Scoped, span: Span) -> Mapping[str, Any]:
    """Findings by severity, and by system, each step of the span; with the lists that bars lead to."""
    form = "%m-%d" if span.step >= timedelta(days=1) else "%m-%d %H:%M"
    labels = [f"{at.astimezone(ask.house.records.zone):{form}}" for at in span.steps]
    counts = reader.course(span.query(), span.step, ("severity", "system"))
    steps = len(labels)
    by_system = _rows(((number, system, count) for (number, (_, system)), count in counts.items()), steps)
    gravest = [
        {"name": one, "label": ask.t(f"base.severity-{one}"), "values": values} for one, values in _severities(counts, steps)
    ]
    lists = [msgspec.structs.replace(span, since=at, until=at + span.step).link() for at in span.steps]
    common = {"labels": labels, "links": lists}
    return {
        "course": {**common, "series": gravest},
        "systems": {**common, "series": _largest(ask, by_system)},
    }


def _severities(counts: Mapping[tuple[int, tuple[str, ...]], int], steps: int) -> Sequence[tuple[str, list[int]]]:
    rows = _rows(((number, severity, count) for (number, (severity, _)), count in counts.items()), steps)
    return [(severity, rows.get(severity, [0] * steps)) for severity in SEVERITIES]


def _rows(counted: Iterable[tuple[int, str, int]], steps: int) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for number, name, count in counted:
        rows.setdefault(name, [0] * steps)[number] += count
    return rows


def _largest(ask: Ask, rows: Mapping[str, list[int]]) -> list[dict[str, Any]]:
    """Keep the systems with the most findings apart."""
    names = sorted(rows, key=lambda name: (-sum(rows[name]), name))
    series = [{"name": name, "label": name, "values": rows[name]} for name in names[:SYSTEMS]]
    if rest := [rows[name] for name in names[SYSTEMS:]]:
        series.append(
            {"name": "", "label": ask.t("situation.others"), "values": [sum(some) for some in zip(*rest, strict=True)]}
        )
    return series


def _matrix(reader: Scoped, span: Span) -> Mapping[str, Any]:
    """Systems × stages of the data's life: unresolved findings, and how dark a cell is."""
    counts = reader.count(span.query(status=UNRESOLVED), ("system", "stage"))
    stages = (*get_args(Stage), "")
    seen = [stage for stage in stages if stage or any(not key[1] for key in counts)]
    most = max(counts.values(), default=0)
    totals: dict[str, int] = {}
    for (system, _), count in counts.items():
        totals[system] = totals.get(system, 0) + count
    rows = []
    for system in sorted(totals, key=lambda name: (-totals[name], name)):
        cells = [(stage, counts.get((system, stage), 0)) for stage in seen]
        shaded = [(stage, count, 0 if not count else 1 + (SHADES - 1) * count // most) for stage, count in cells]
        rows.append((system, shaded, totals[system]))
    return {"stages": seen, "rows": rows}


def _gaps(reader: Scoped) -> Sequence[Mapping[str, Any]]:
    where: dict[str, tuple[str, ...]] = {"kind": ("coverage",), "entity.type": ("stream",)}  # the second has an index
    return reader.page(Query("findings", where, limit=GAPS)).rows


PAGE = Page(
    "situation",
    (
        View("/situation", "situation.read", shown),
        View("/situation/panels", "situation.read", shown, by_itself=True),
    ),
    icon="situation",
)
