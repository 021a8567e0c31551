"""The Reader over Elasticsearch: findings and incidents in pages and counts, as the embedded store gives them.

Times sort by the millisecond, and then by id; equals of another order by their time. `incident` and `related` are looked up for
the rows of a page; findings of incidents are found by what the incidents name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import GenericAlias
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.model.clock import EPOCH, rfc3339
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Backlog, Flow, Page, Query, Use, UseQuery
from xmsec.model.types import STATUSES, Incident, Proposals
from xmsec.store import cursor
from xmsec.store.elastic_counts import ElasticCounts
from xmsec.store.elastic_error import answering
from xmsec.store.elastic_schema import PREFIX
from xmsec.store.elastic_uses import ElasticUses
from xmsec.store.rows import UNTOUCHED, words

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

BUCKETS = 10_000  # combinations a request (the server gives 65,536); the rest is fetched after them
MOST_TERMS = 65_000  # ids in one filter; the server takes 65,536
JOINED = 1_000  # incidents that the rows of one page may belong to, or be related to

_MS = timedelta(milliseconds=1)
_ENTITY = ("entity.type", "entity.id")
_TIMES = frozenset(("time", "first_seen", "opened", "window.start", "window.end"))
_MEASURED = frozenset((*_TIMES, "severity", "risk", "count"))  # orders by numbers, which every row has
_SORTED: Mapping[str, tuple[str, ...]] = {
    "findings": (
        *("id", "time", "first_seen", "detector", "kind", "severity", "risk", "system", "stream", "state", "title"),
        *("window.start", "window.end", "count", "stage", "grade", *_ENTITY),
    ),
    "incidents": ("id", "time", "opened", "severity", "risk", "state", *_ENTITY),
}
_FILTERED: Mapping[str, tuple[str, ...]] = {  # what few records have, or several of
    "findings": ("status", "assignee", "exception"),
    "incidents": ("status", "assignee", "system"),
}
_ABSENT = {"status": UNTOUCHED, "assignee": "", "stage": "", "grade": "", "exception": ""}
_SEARCHED: Mapping[str, tuple[str, ...]] = {
    "findings": ("title", "entity.id", "detector", "system", "id"),
    "incidents": ("entity.id", "id"),
}
_WILD = re.compile(r"[*?\\]")


class ElasticReader:
    """Answers from the aliases that `elastic_ensure` makes. Raises ServiceError when Elasticsearch does not answer."""

    def __init__(self, client: Elasticsearch, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix
        self._counts = ElasticCounts(client, prefix)

    def page(self, query: Query, after: str | None = None) -> Page:
        """Return one page in a total order. Raises ConfigError for an unknown column, InputError for a foreign cursor."""
        name = query.order.removeprefix("-")
        way = "desc" if query.order.startswith("-") else "asc"
        field = "severity_rank" if name == "severity" else _field(query, name, _SORTED[self._table(query)])
        order = tuple(dict.fromkeys((field, _field(query, "time", ("time",)), "id")))
        terms = [self._filter(query)]
        if after is not None:
            terms.append(_beyond(order, way, cursor.place(after, GenericAlias(tuple, (int | str,) * len(order)))))
        hits = (self._measured if name in _MEASURED else self._hits)(query, terms, order, way)
        rows = [hit["_source"] for hit in hits[: query.limit]]
        following = None
        if len(hits) > query.limit:
            following = cursor.written(hits[query.limit - 1]["sort"])
        return Page(self._findings(rows) if query.table == "findings" else self._incidents(rows), following)

    def _hits(self, query: Query, terms: Sequence[Mapping[str, Any]], order: Sequence[str], way: str) -> list[dict[str, Any]]:
        """Search for the rows of a page and one more, each with its place in the order (`sort`)."""
        sort = [{one: way} for one in order]
        found = self._search(query, query=_all(terms), sort=sort, size=query.limit + 1, track_total_hits=False)
        hits: list[dict[str, Any]] = found["hits"]["hits"]
        return hits

    def _measured(
        self, query: Query, terms: Sequence[Mapping[str, Any]], order: Sequence[str], way: str
    ) -> list[dict[str, Any]]:
        """Search by numbers, and put equals in the order of their ids here: to sort by all ids is slow for the server.

        Only where equals go on beyond the page it has to, among what does not come after them.
        """
        hits = self._hits(query, terms, order[:-1], way)
        if len(hits) > query.limit and hits[-1]["sort"] == hits[-2]["sort"]:
            within = {"bool": {"must_not": _beyond(order[:-1], way, hits[-1]["sort"])}}
            return self._hits(query, [*terms, within], order, way)
        for hit in hits:
            hit["sort"].append(hit["_source"]["id"])
        return sorted(hits, key=lambda hit: hit["sort"], reverse=way == "desc")

    def count(self, query: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """Return how many rows there are for each combination of the named columns; none named: of all, under ().

        A row counts under each value of a column that has several.
        """
        known = (*_SORTED[self._table(query)], *_FILTERED[query.table])
        if query.table == "findings" and "status" in by:
            return self._by_status(query, by)
        if not by:
            total = self._search(query, query=self._filter(query), size=0, track_total_hits=True)["hits"]["total"]["value"]
            return {(): total}
        columns = [{name: {"terms": {"field": _field(query, name, known), "missing_bucket": True}}} for name in by]
        counts = {tuple(_written(name, key[name]) for name in by): count for key, count in self._buckets(query, columns)}
        return dict(sorted(counts.items()))

    def course(self, query: Query, step: timedelta, by: Sequence[str]) -> Mapping[tuple[int, tuple[str, ...]], int]:
        """Return how many rows there are in each step of time from `since` on, and of the named columns."""
        if query.since is None:
            raise ConfigError("a course begins somewhere", where=query.table, remedy="name since")
        start_ms, step_ms = (query.since - EPOCH) // _MS, step // _MS
        time = {
            "field": _field(query, "time", ("time",)),
            "fixed_interval": f"{step_ms}ms",
            "offset": f"{start_ms % step_ms}ms",
        }
        known = _SORTED[self._table(query)]
        columns: list[dict[str, Any]] = [{"time": {"date_histogram": time}}]
        columns += [{name: {"terms": {"field": _field(query, name, known), "missing_bucket": True}}} for name in by]
        return {
            ((key["time"] - start_ms) // step_ms, tuple(_written(name, key[name]) for name in by)): count
            for key, count in self._buckets(query, columns)
        }

    def uses(self, query: UseQuery) -> Sequence[Use]:
        """Return who used what how often."""
        return ElasticUses(self._client, self._prefix).asked(query)

    def flows(self) -> Mapping[str, Flow]:
        """Return what each stream brought, as workers counted it."""
        return self._counts.flows()

    def backlogs(self) -> Sequence[Backlog]:
        """Return what workers had not carried when they last said so."""
        return self._counts.backlogs()

    def observed(self, datasets: Sequence[str]) -> Proposals:
        """Return what was seen in which field of these datasets."""
        return self._counts.observed(datasets)

    def observed_datasets(self, limit: int) -> Sequence[str]:
        """Return the first names of all datasets in which something was seen."""
        return self._counts.observed_datasets(limit)

    def _buckets(self, query: Query, columns: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], int]]:
        composite: dict[str, Any] = {"size": BUCKETS, "sources": columns}
        terms = self._filter(query)
        while True:
            found = self._search(query, query=terms, size=0, aggs={"by": {"composite": composite}})["aggregations"]["by"]
            for bucket in found["buckets"]:
                yield bucket["key"], bucket["doc_count"]
            if len(found["buckets"]) < BUCKETS:
                return
            composite["after"] = found["after_key"]

    def _by_status(self, query: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        """Count findings for each status apart: it is their own, or else their incident's."""
        place = by.index("status")
        others = [name for name in by if name != "status"]
        counts: dict[tuple[str, ...], int] = {}
        for status in query.where.get("status", STATUSES):
            only = msgspec.structs.replace(query, where={**query.where, "status": (status,)})
            for key, count in self.count(only, others).items():
                if count:
                    counts[(*key[:place], status, *key[place:])] = count
        return dict(sorted(counts.items()))

    def _filter(self, query: Query) -> dict[str, Any]:
        where = dict(query.where)
        names = ("status", "assignee") if query.table == "findings" else ()
        terms = [self._inherited(name, where.pop(name)) for name in names if name in where]
        if query.table == "findings" and "incident" in where:
            terms.append(self._of_incidents(where.pop("incident")))
        hidden = [{"exists": {"field": "exception"}}] if query.hides else []
        return {"bool": {"filter": [*terms, *_terms(msgspec.structs.replace(query, where=where))], "must_not": hidden}}

    def _inherited(self, name: str, values: Sequence[str]) -> dict[str, Any]:
        """Return the findings that have one of these values themselves, or have none and their incident has it.

        Looked up in the incidents that people have touched, the latest thousand.
        """
        found = self._search(
            Query("incidents"),
            query={"exists": {"field": name}},
            size=JOINED,
            sort=[{"opened": "desc"}, {"id": "desc"}],
            source=["findings", name],
        )
        touched = [hit["_source"] for hit in found["hits"]["hits"] if hit["_source"].get(name)]
        none = _none(name)
        through = [one for row in touched if row[name] in values for one in row["findings"]]
        ways = [{"terms": {name: list(values)}}, {"bool": {"filter": [none, {"terms": {"id": through[:MOST_TERMS]}}]}}]
        if _ABSENT[name] in values:
            others = [one for row in touched if row[name] not in values for one in row["findings"]]
            ways.append({"bool": {"filter": [none], "must_not": {"terms": {"id": others[:MOST_TERMS]}}}})
        return {"bool": {"should": ways}}

    def _of_incidents(self, incidents: Sequence[str]) -> dict[str, Any]:
        named = {"terms": {"id": list(incidents)}}
        hits = self._search(Query("incidents"), query=named, size=JOINED, source=["findings"])["hits"]["hits"]
        findings = [one for hit in hits for one in hit["_source"].get("findings", ())]
        return {"terms": {"id": findings[:MOST_TERMS]}}

    def _findings(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        incidents: dict[str, Mapping[str, Any]] = {}
        ids = [row["id"] for row in rows]
        if ids:
            asked: dict[str, Any] = {"size": JOINED, "source": ["id", "findings", "status", "assignee"]}
            found = self._search(Query("incidents"), query={"terms": {"findings": ids}}, **asked)
            for hit in found["hits"]["hits"]:
                incidents.update(dict.fromkeys(hit["_source"]["findings"], hit["_source"]))
        return [_finding(row, incidents.get(row["id"], {})) for row in rows]

    def _incidents(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        entities = sorted({row["entity"]["id"] for row in rows})
        found = self._search(
            Query("incidents"),
            query=_shown({"terms": {"entity.id": entities}}),
            size=JOINED,
            sort=["opened", "id"],
            source=["id", "entity"],
        )
        others = [hit["_source"] for hit in found["hits"]["hits"]]
        return [_incident(row, others) for row in rows]

    def _search(self, table: Query, **asked: Any) -> Any:
        with answering(self._client):
            return self._client.search(index=f"{self._prefix}-{self._table(table)}", **asked).body

    def _table(self, query: Query) -> str:
        if query.table not in _SORTED:
            raise ConfigError(f'no table "{query.table}" in this store', remedy=f"one of {', '.join(_SORTED)}")
        return query.table


def incidents_like(client: Elasticsearch, beginning: str, prefix: str = PREFIX) -> Sequence[Incident]:
    """Return incidents whose id begins so, two at most."""
    with answering(client):
        found = client.search(index=f"{prefix}-incidents", query=_shown({"prefix": {"id": beginning}}), size=2, sort="id")
    return [msgspec.convert(hit["_source"], Incident) for hit in found["hits"]["hits"]]


def _all(terms: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"bool": {"filter": list(terms)}}


def _beyond(order: Sequence[str], way: str, place: Sequence[int | str]) -> dict[str, Any]:
    """Return what comes after a place in an order of columns."""
    ways: list[dict[str, Any]] = []
    for at, (name, value) in enumerate(zip(order, place, strict=True)):
        equal = [_compared(*pair, "gte", "lte") for pair in zip(order[:at], place[:at], strict=True)]
        ways.append(_all([*equal, _compared(name, value, "lt" if way == "desc" else "gt")]))
    return {"bool": {"should": ways}}


def _compared(name: str, value: int | str, *signs: str) -> dict[str, Any]:
    form = {"format": "epoch_millis"} if name in _TIMES else {}
    return {"range": {name: {**dict.fromkeys(signs, value), **form}}}


def _shown(term: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out incidents without findings: an exception covers all that they had, or people put them elsewhere."""
    return {"bool": {"filter": [term, {"exists": {"field": "findings"}}]}}


def _field(query: Query, name: str, known: Sequence[str]) -> str:
    if name not in known:
        raise ConfigError(f'no column "{name}"', where=query.table, remedy=f"one of {', '.join(known)}")
    if query.table == "incidents" and name in ("time", "system"):
        return "opened" if name == "time" else "systems"
    return name


def _none(name: str) -> dict[str, Any]:
    """Return what has no value of this name, or an empty one."""
    return {"bool": {"should": [{"term": {name: ""}}, {"bool": {"must_not": {"exists": {"field": name}}}}]}}


def _terms(query: Query) -> list[dict[str, Any]]:
    terms: list[dict[str, Any]] = []
    for name, values in query.where.items():
        field = _field(query, name, (*_SORTED[query.table], *_FILTERED[query.table]))
        held: dict[str, Any] = {"terms": {field: list(values)}}
        if _ABSENT.get(name) in values:
            held = {"bool": {"should": [held, {"bool": {"must_not": {"exists": {"field": field}}}}]}}
        terms.append(held)
    if query.table == "incidents":
        terms.append(_shown({"match_all": {}}))
    if query.since is not None or query.until is not None:
        bounds = {"gte": query.since, "lt": query.until}
        ranged = {name: rfc3339(at) for name, at in bounds.items() if at is not None}
        terms.append({"range": {_field(query, "time", ("time",)): ranged}})
    for word in words(query):
        wanted = {"value": _WILD.sub(r"\\\g<0>", word).join("**"), "case_insensitive": True}
        terms.append({"bool": {"should": [{"wildcard": {field: wanted}} for field in _SEARCHED[query.table]]}})
    return terms


def _written(name: str, value: Any) -> str:
    if value is None:
        return _ABSENT.get(name, "")
    return rfc3339(EPOCH + timedelta(milliseconds=value)) if name in _TIMES else str(value)


def _finding(row: dict[str, Any], incident: Mapping[str, Any]) -> dict[str, Any]:
    row.pop("severity_rank", None)
    status = row.get("status") or incident.get("status") or UNTOUCHED
    assignee = row.get("assignee") or incident.get("assignee") or None
    return {**row, "incident": row.get("incident") or incident.get("id"), "status": status, "assignee": assignee}


def _incident(row: dict[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    for name in ("severity_rank", "own", "root"):
        row.pop(name, None)
    related = [other["id"] for other in others if other["entity"] == row["entity"] and other["id"] != row["id"]]
    return {**row, "related": related, "status": row.get("status") or UNTOUCHED, "assignee": row.get("assignee") or None}
