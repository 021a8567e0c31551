"""How grave an event's content is: the gravest of its values and labels, raised by combination and volume (GB/T 43697 6.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xmsec.content.classifiers import Grades, Volume
from xmsec.model.types import LEVELS, Grade, Label, Level, Span

CACHED_SETS = 4096  # sets of types that were graded; real streams have dozens
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_Reason = tuple[Level, str]


def grader(tables: Grades) -> Callable[[Sequence[Span], Sequence[Label]], Grade | None]:
    """Return the function that grades an event by its spans and its datasets' labels; it remembers sets of types.

    A type that the table does not know counts as the strictest level of general data, and the reason says so: what is missing
    from the table must not pass as harmless.
    """
    watched = {item for one in tables.combinations for group in one.all_of for item in group if "=" in item}
    least = min((one.at_least for one in tables.volumes), default=0)
    cache: dict[tuple[frozenset[str], frozenset[_Reason], tuple[str, ...]], Grade] = {}

    def grade(spans: Sequence[Span], labels: Sequence[Label]) -> Grade | None:
        if not spans and not labels:
            return None
        types = frozenset([span.type for span in spans])
        facts = types | _attributes(spans, watched) if watched else types
        judged = frozenset([(label.grade, f"label {label.type} of {label.dataset}") for label in labels])
        volumes = tuple(one.id for one in _reached(tables.volumes, spans)) if least and len(spans) >= least else ()
        known = (facts, judged, volumes)
        found = cache.get(known)
        if found is None:
            if len(cache) >= CACHED_SETS:
                cache.clear()
            found = cache[known] = _judge(tables, types, facts, judged, volumes)
        return found

    return grade


def _attributes(spans: Sequence[Span], watched: set[str]) -> frozenset[str]:
    return frozenset(f"{name}={value}" for span in spans for name, value in span.kept.items()) & watched


def _reached(volumes: Iterable[Volume], spans: Sequence[Span]) -> Iterable[Volume]:
    for one in volumes:
        if len({span.token for span in spans if span.type in one.types}) >= one.at_least:
            yield one


def _judge(
    tables: Grades, types: frozenset[str], facts: frozenset[str], judged: frozenset[_Reason], volumes: tuple[str, ...]
) -> Grade:
    """Collect all reasons; the gravest level wins and its reasons are kept, in a total order."""
    reasons: set[_Reason] = set(judged)
    for kind in types:
        entry = tables.types.get(kind)
        reasons.add((entry.level, f"{kind}: {entry.why}") if entry else ("general-4", f"{kind}: not in the table"))
    for combination in tables.combinations:
        if all(facts.intersection(group) for group in combination.all_of):
            reasons.add((combination.level, f"{combination.id}: {combination.why}"))
    reasons.update((one.level, f"{one.id}: {one.why}") for one in tables.volumes if one.id in volumes)
    level = max((level for level, _ in reasons), key=_RANKS.__getitem__)
    return Grade(level, tuple(sorted(why for given, why in reasons if given == level)))
