"""Facets: what each further choice in a list would leave; a facet's own choice does not count against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.responses import Response

from xmsec.console.access import EVERY, Permission
from xmsec.console.ask import Ask
from xmsec.console.pages.filters import FACETS, Filter
from xmsec.model.types import SEVERITIES, STATUSES

Facet = tuple[str, Sequence[tuple[str, int]], Sequence[str]]  # column, its values with their counts, those that are chosen


def counted(ask: Ask, wanted: Filter, permission: Permission) -> Response:
    """Show the facets of a list. A record of several systems counts under each of those that may be seen."""
    reader, reached = ask.reader(permission), ask.who.reaches(permission)
    found: list[Facet] = []
    for name in FACETS[wanted.table]:
        counts = {key[0]: count for key, count in reader.count(wanted.without(name).query(), (name,)).items()}
        if name == "system" and EVERY not in reached:
            counts = {system: count for system, count in counts.items() if system in reached}
        chosen = wanted.where.get(name, ())
        counts.update({value: 0 for value in chosen if value not in counts})
        found.append((name, _ordered(name, counts), chosen))
    total = reader.count(wanted.query(), ())[()]
    return ask.page("facets.html", facets=found, filter=wanted, total=total)


def _ordered(name: str, counts: Mapping[str, int]) -> Sequence[tuple[str, int]]:
    if name == "severity":
        return [(one, counts[one]) for one in reversed(SEVERITIES) if one in counts]
    if name == "status":
        return [(one, counts.get(one, 0)) for one in STATUSES]
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
