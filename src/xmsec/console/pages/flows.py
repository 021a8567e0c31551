"""How data flows: who may use which dataset of which system by the ledger, and whose use is in question by what was found.

Use that nothing was found about is not kept one by one, and is not drawn.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any

import msgspec

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask
from xmsec.console.pages.span import UNRESOLVED, Span
from xmsec.console.scoped import Scoped
from xmsec.ledger.book import Book
from xmsec.ledger.grant import ANY, Given, matches
from xmsec.model.types import SEVERITIES

EDGES = 40  # drawn; the gravest, then those that are declared
FINDINGS = 200  # that are looked at: the gravest
WHO = ("user", "address", "device")  # entities that use data


def drawn(ask: Ask, reader: Scoped, span: Span) -> Mapping[str, Any]:
    """Return the graph: consumer → dataset → system. kind of an edge: declared, suspicious, or both; more: not drawn."""
    book, reached = ask.house.records.book(), ask.who.reaches("situation.read")
    systems = {one.name: one.system for one in book.entries.datasets if EVERY in reached or one.system in reached}
    declared = {
        (who, dataset)
        for who, dataset, given in _granted(book)
        if dataset in systems and given.start <= span.until and (given.end is None or span.until < given.end)
    }
    suspicious = _suspicious(reader, span, systems)
    edges = sorted({*declared, *suspicious}, key=lambda edge: (-suspicious.get(edge, -1), edge))
    rows = [
        {
            "consumer": consumer,
            "dataset": dataset,
            "system": systems.get(dataset, ""),
            "kind": _kind((consumer, dataset) in declared, (consumer, dataset) in suspicious),
            "link": span.link(**{"entity.id": consumer}) if (consumer, dataset) in suspicious else "",
        }
        for consumer, dataset in edges[:EDGES]
    ]
    return {"edges": rows, "more": max(0, len(edges) - EDGES)}


def _kind(declared: bool, suspicious: bool) -> str:
    return "both" if declared and suspicious else "declared" if declared else "suspicious"


@lru_cache(maxsize=2)
def _granted(book: Book) -> Sequence[tuple[str, str, Given]]:
    """Return who is granted which dataset, whenever it is valid; once for a revision of the ledger."""
    names = sorted(one.name for one in book.entries.datasets)
    found: list[tuple[str, str, Given]] = []
    for given in book.entries.grants:
        for pattern in given.datasets:
            begun = names[bisect_left(names, pattern.removesuffix(ANY)) :]  # those that may begin so
            found += [(given.grantee, one, given) for one in takewhile(partial(matches, pattern), begun)]
    return found


def _suspicious(reader: Scoped, span: Span, systems: dict[str, str]) -> dict[tuple[str, str], int]:
    """Return what was found of whom on which dataset, as the rank of the gravest; adds datasets that nobody declared."""
    found: dict[tuple[str, str], int] = {}
    asked = span.query(**{"status": UNRESOLVED, "entity.type": WHO})
    for row in reader.page(msgspec.structs.replace(asked, order="-severity", limit=FINDINGS)).rows:
        for dataset in row["datasets"]:
            systems.setdefault(dataset, row["system"])
            edge = (row["entity"]["id"], dataset)
            found[edge] = max(found.get(edge, -1), SEVERITIES.index(row["severity"]))
    return found
