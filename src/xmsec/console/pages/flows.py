"""How data flows: who may use which dataset of which system by the ledger, who does, and whose use is in question."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import takewhile
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from xmsec.console.access import EVERY
from xmsec.console.ask import Ask
from xmsec.console.pages.span import UNRESOLVED, Span
from xmsec.console.scoped import Scoped
from xmsec.ledger.book import Book
from xmsec.ledger.grant import ANY, Given, matches, names_of
from xmsec.model.ports import UseQuery
from xmsec.model.types import SEVERITIES

EDGES = 40  # drawn: the gravest, then those that are used and not granted, those that are, and those that could be
UNGRANTED = 20  # drawn of what is used and not granted, or nothing else would be where nobody grants
FINDINGS = 200  # that are looked at: the gravest
USES = 2_000  # that are looked at: the most frequent
WHO = ("user", "address", "device")  # entities that use data

Pair = tuple[str, str]  # consumer, dataset
Kind = Literal["declared", "used", "observed", "suspicious", "both"]


class Edge(msgspec.Struct, frozen=True):
    """One consumer's relation to one dataset. rank: of the gravest finding, -1 where there is none; events: as far as seen."""

    pair: Pair
    declared: bool
    rank: int
    events: int

    @property
    def kind(self) -> Kind:
        """What it is drawn as: `used` is declared and observed, `observed` not declared, `both` suspicious and declared."""
        if self.rank >= 0:
            return "both" if self.declared else "suspicious"
        return ("used" if self.events else "declared") if self.declared else "observed"

    @property
    def place(self) -> tuple[Any, ...]:
        """Its place in the order in which edges are drawn."""
        return -self.rank, ("suspicious", "both", "observed", "used", "declared").index(self.kind), -self.events, self.pair


def drawn(ask: Ask, reader: Scoped, span: Span) -> Mapping[str, Any]:
    """Return the graph: consumer → dataset → system, its edges as `Edge` says; more: not drawn."""
    book, reached = ask.house.records.book(), ask.who.reaches("situation.read")
    systems = {one.name: one.system for one in book.entries.datasets if EVERY in reached or one.system in reached}
    declared = {
        (who, dataset)
        for who, dataset, given in _granted(book)
        if dataset in systems and given.start <= span.until and (given.end is None or span.until < given.end)
    }
    suspicious = _suspicious(reader, span, systems)
    events = _used(book, reader, span, systems, declared)
    pairs = {*declared, *suspicious, *events}
    edges = sorted(
        (Edge(pair, pair in declared, suspicious.get(pair, -1), events.get(pair, 0)) for pair in pairs), key=lambda it: it.place
    )
    last = {edge.pair for edge in [edge for edge in edges if edge.kind == "observed"][UNGRANTED:]}
    shown = sorted(edges, key=lambda edge: edge.pair in last)[:EDGES]
    rows = [_row(ask, span, edge, systems) for edge in shown]
    return {"edges": rows, "more": max(0, len(edges) - EDGES)}


def _row(ask: Ask, span: Span, edge: Edge, systems: Mapping[str, str]) -> Mapping[str, Any]:
    consumer, dataset = edge.pair
    said = ask.t(f"situation.edge-{edge.kind}")
    return {
        "consumer": consumer or ask.t("situation.no-account"),
        "dataset": dataset,
        "system": systems.get(dataset, ""),
        "kind": edge.kind,
        "events": edge.events,
        "said": ask.t("situation.edge-events", edge=said, n=f"{edge.events:,}") if edge.events else said,
        "link": _link(ask, span, edge, systems.get(dataset, "")),
    }


def _link(ask: Ask, span: Span, edge: Edge, system: str) -> str:
    """Return the list behind an edge: what was found; else the form that asks for a trail, or what the ledger says."""
    consumer, dataset = edge.pair
    book, trails = ask.house.records.book(), ask.house.records.trails
    if edge.rank >= 0:
        return span.link(**{"entity.id": consumer})
    named = consumer and not consumer.startswith("⟨")  # neither nobody nor a type of token
    if edge.kind == "observed" and named and trails is not None and ask.who.may("trail.ask", system):
        return f"/trail?of=actor&name={quote(consumer, safe='')}"
    known = book.dataset(dataset)
    if ask.house.records.ledgers is None or known is None or not ask.who.may("ledger.read", known.system):
        return ""
    return f"/ledger/dataset?name={quote(dataset, safe='')}"


def _used(book: Book, reader: Scoped, span: Span, systems: dict[str, str], declared: set[Pair]) -> dict[Pair, int]:
    """Return the events of each edge that is used; adds datasets that nobody declared.

    Use by an account counts for each grant that reaches it, and for the account itself where none does.
    """
    found: dict[Pair, int] = {}
    for use in reader.uses(UseQuery(since=span.since, until=span.until, limit=USES)):
        systems.setdefault(use.dataset, use.system)
        names = names_of(use.account, book.person(use.account))
        granted = [(name, use.dataset) for name in names if (name, use.dataset) in declared]
        for pair in {*granted} or {(use.account, use.dataset)}:
            found[pair] = found.get(pair, 0) + use.events
    return found


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


def _suspicious(reader: Scoped, span: Span, systems: dict[str, str]) -> dict[Pair, int]:
    """Return what was found of whom on which dataset, as the rank of the gravest; adds datasets that nobody declared."""
    found: dict[Pair, int] = {}
    asked = span.query(**{"status": UNRESOLVED, "entity.type": WHO})
    for row in reader.page(msgspec.structs.replace(asked, order="-severity", limit=FINDINGS)).rows:
        for dataset in row["datasets"]:
            systems.setdefault(dataset, row["system"])
            edge = (row["entity"]["id"], dataset)
            found[edge] = max(found.get(edge, -1), SEVERITIES.index(row["severity"]))
    return found
