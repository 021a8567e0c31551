"""Incidents in Elasticsearch as people shaped them: written anew at each act, and whenever a worker has spoken of a part.

A worker writes its own word (`own`, and what is shown of it); a document that people have shaped has a `root`, which the answer
to the write names. Whoever shapes reads all that it follows from and writes only over the version that it read, so that of two
that do so at once the one that knows less tries again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.detect.score import rank
from xmsec.findings.shape import Fact, Placement, placement, shaped
from xmsec.model.errors import ServiceError
from xmsec.model.types import Act, Incident
from xmsec.store.elastic_schema import ACTS, FINDINGS, PREFIX, incident_index
from xmsec.store.rows import incident_row

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

TRIES = 20  # of a document that others write at the same time
READ = 5_000  # acts, or findings, a request
_SHOWN = ("opened", "severity", "risk", "findings", "detectors", "systems", "state")
_FACTS = list(Fact.__struct_fields__)


def placed(client: Elasticsearch, prefix: str = PREFIX) -> Placement:
    """Return where people put things, by all acts that are there."""
    kinds = {"terms": {"kind": ["merge", "split", "move"]}}
    return placement(acts(client, kinds, prefix))


def acts(client: Elasticsearch, query: Mapping[str, Any], prefix: str = PREFIX) -> list[Act]:
    """Return the acts that a query finds, in the order of their time."""
    found: list[Act] = []
    after: Any = None
    while True:
        sort: Any = [{"at": "asc"}, {"id": "asc"}]
        hits = client.search(index=ACTS.alias(prefix), query=dict(query), sort=sort, size=READ, search_after=after)["hits"][
            "hits"
        ]
        found += (msgspec.convert(hit["_source"], Act) for hit in hits)
        if len(hits) < READ:
            return sorted(found, key=lambda act: (act.at, act.id))
        after = hits[-1]["sort"]


def shape(client: Elasticsearch, roots: Iterable[str], now: Placement, prefix: str = PREFIX) -> None:
    """Show incidents as they follow from the engine's word and from where things were put. Raises ServiceError."""
    roots = sorted(roots)
    if roots:
        client.indices.refresh(index=FINDINGS.alias(prefix))
    for root in roots:
        _shape(client, root, now, prefix)


def _shape(client: Elasticsearch, root: str, now: Placement, prefix: str) -> None:
    from elasticsearch import ConflictError

    index = incident_index(prefix)
    base_id = now.base_by_made.get(root, root)
    parts = now.parts(root)
    for _ in range(TRIES):
        found = client.mget(index=index, ids=sorted({*parts, root, base_id}))["docs"]
        by_id = {one["_id"]: one for one in found if one.get("found")}
        if root not in by_id or base_id not in by_id:
            return
        own = {name: own_of(one["_source"]) for name, one in by_id.items() if name in parts}
        base = msgspec.convert(by_id[base_id]["_source"], Incident)
        incident = shaped(root, base, _facts(client, now.members(root, own), prefix))
        read = by_id[root]
        try:
            _write(client, index, root, _doc(incident), read)
            for part in (one for one in parts if one != root and one in by_id and by_id[one]["_source"].get("findings")):
                _write(client, index, part, {"findings": []}, by_id[part])
        except ConflictError:
            continue
        return
    raise ServiceError("an incident is written without a pause", where=root, remedy="try again")


def own_of(source: Mapping[str, Any]) -> Sequence[str]:
    """Return the findings that the engine says an incident has; one that an older version wrote says so in `findings`."""
    own: Sequence[str] = source["own"] if "own" in source else source.get("findings", [])
    return own


def _doc(incident: Incident | None) -> dict[str, Any]:
    if incident is None:
        return {"findings": []}
    row = incident_row(incident)
    return {**{name: row[name] for name in _SHOWN}, "severity_rank": rank(incident.severity)}


def _write(client: Elasticsearch, index: str, name: str, doc: Mapping[str, Any], read: Mapping[str, Any]) -> None:
    versions = {"if_seq_no": read["_seq_no"], "if_primary_term": read["_primary_term"]}
    client.update(index=index, id=name, doc=dict(doc), refresh=True, **versions)


def _facts(client: Elasticsearch, members: Sequence[str], prefix: str) -> list[Fact]:
    facts: list[Fact] = []
    for start in range(0, len(members), READ):
        some = list(members[start : start + READ])
        query = {"bool": {"filter": [{"terms": {"id": some}}], "must_not": [{"exists": {"field": "exception"}}]}}
        found = client.search(index=FINDINGS.alias(prefix), query=query, size=READ, source_includes=_FACTS)["hits"]["hits"]
        facts += (msgspec.convert(hit["_source"], Fact) for hit in found)
    return facts
