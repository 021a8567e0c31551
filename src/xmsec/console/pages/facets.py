"""Facets: what each further choice in a list would leave; a facet's own choice does not count against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from xmsec.console.access import EVERY, Permission
from xmsec.console.ask import Ask
from xmsec.console.pages.filters import FACETS, Filter
from xmsec.console.scoped import Scoped
from xmsec.model.types import SEVERITIES, STATUSES

Facet = tuple[str, Sequence[tuple[str, int]], Sequence[str]]  # column, its values with their counts, those that are chosen


def counted(ask: Ask, wanted: Filter, permission: Permission) -> Response:
    """Show the facets of a list. A record of several systems counts under each of those that may be seen."""
    reader, reached = ask.reader(permission), ask.who.reaches(permission)
    found: list[Facet] = []
    free = [name for name in FACETS[wanted.table] if name not in wanted.where and wanted.table == "findings"]
    together = _counts(reader, wanted, free)  # they share a filter, and no row has several values
    for name in FACETS[wanted.table]:
        counts = together[name] if name in together else _counts(reader, wanted.without(name), [name])[name]
        if name == "system" and EVERY not in reached:
            counts = {system: count for system, count in counts.items() if system in reached}
        chosen = wanted.where.get(name, ())
        counts.update({value: 0 for value in chosen if value not in counts})
        found.append((name, _ordered(name, counts), chosen))
    total = sum(together[free[0]].values()) if free else reader.count(wanted.query(), ())[()]
    return ask.page("facets.html", facets=found, filter=wanted, total=total)


def _counts(reader: Scoped, wanted: Filter, names: Sequence[str]) -> Mapping[str, dict[str, int]]:
    """Count for each column apart, in one look."""
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    for values, count in reader.count(wanted.query(), names).items() if names else ():
        for name, value in zip(names, values, strict=True):
            counts[name][value] = counts[name].get(value, 0) + count
    return counts


def _ordered(name: str, counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    if name == "severity":
        return [(one, counts[one]) for one in reversed(SEVERITIES) if one in counts]
    if name == "status":
        return [(one, counts.get(one, 0)) for one in STATUSES]
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
