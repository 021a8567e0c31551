"""What people decide of incidents, in Elasticsearch: a document an act, and what it changes written until it stands.

The act is there before anything that follows from it. Killed in between, the same act said again does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.findings.shape import Placement
from xmsec.model.errors import ServiceError
from xmsec.model.types import Act
from xmsec.store.elastic_error import address, answering
from xmsec.store.elastic_schema import ACTS, FINDINGS, PREFIX, incident_index
from xmsec.store.elastic_shape import acts, own_of, placed, shape

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

AT_ONCE = 1_000  # findings that one request marks
PARTS = 1_000  # incidents that were merged into one
AGAIN = 5  # tries of an update that meets another one on the same document


class ElasticActs:
    """The Acts seam over Elasticsearch. Raises ServiceError when it does not answer."""

    def __init__(self, client: Elasticsearch, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix

    def put(self, act: Act) -> bool:
        """Record an act and shape the incidents that it speaks of; false when it was recorded before."""
        with answering(self._client):
            document = {**msgspec.to_builtins(act), "about": list(act.about)}
            index = ACTS.first(self._prefix)
            answer = self._client.options(ignore_status=409).create(index=index, id=act.id, document=document, refresh=True)
            if act.kind == "status":
                self._say(act)
            elif act.kind != "comment":
                self._place(act)
        return answer.meta.status != 409

    def cover(self, findings: Sequence[str], exception: str) -> None:
        """Let an exception cover findings; one that is not there is left out."""
        with answering(self._client):
            for start in range(0, len(findings), AT_ONCE):
                self._mark(findings[start : start + AT_ONCE], {"exception": exception})

    def of(self, incident: str) -> Sequence[Act]:
        """Return the acts that speak of an incident, or of one that was merged into it, in the order of their time."""
        with answering(self._client):
            about = {"terms": {"about": list(self.parts(incident))}}
            return acts(self._client, about, self._prefix)

    def parts(self, incident: str) -> Sequence[str]:
        """Return an incident's id, and those that were merged into it."""
        found, fresh = {incident}, {incident}
        with answering(self._client):
            while fresh:  # one that was merged before its root was, names that root still
                roots: Any = {"terms": {"root": sorted(fresh)}}
                hits = self._client.search(index=incident_index(self._prefix), query=roots, size=PARTS, source=False)
                fresh = {hit["_id"] for hit in hits["hits"]["hits"]} - found
                found |= fresh
        return sorted(found)

    def _say(self, act: Act) -> None:
        """Write what was said of findings, or of an incident; a finding that is not there is left out."""
        doc = {"status": act.status, **({} if act.assignee is None else {"assignee": act.assignee})}
        if not act.findings:
            self._set(act.incident, doc)
            return
        self._mark(act.findings, doc)

    def _mark(self, findings: Sequence[str], doc: Mapping[str, Any]) -> None:
        terms: Any = {"terms": {"id": list(findings)}}
        found = self._client.search(index=FINDINGS.alias(self._prefix), query=terms, size=len(findings), source=False)
        operations: list[Any] = []
        for hit in found["hits"]["hits"]:
            place = {"_index": hit["_index"], "_id": hit["_id"], "retry_on_conflict": AGAIN}
            operations += [{"update": place}, {"doc": doc}]
        if operations and self._client.bulk(operations=operations, refresh=True)["errors"]:
            raise ServiceError("not every finding was set", where=address(self._client), remedy="do it again")

    def _place(self, act: Act) -> None:
        """Say of each document which incident shows it, of findings where they were put; then show what follows."""
        now = placed(self._client, self._prefix)
        if act.into:
            self._make(act, now)
        roots = {now.root_by_part[part] for part in act.about}
        for part in sorted({part for root in roots for part in now.parts(root)}):  # with what was merged into a part before
            self._set(part, {"root": now.root_by_part[part], **self._own(part)})
        self._put(now, {finding for finding, incident in now.placed.items() if incident in roots})
        shape(self._client, roots, now, self._prefix)

    def _make(self, act: Act, now: Placement) -> None:
        """Make the document of an incident that a split makes, with what it has from the one it comes from."""
        index = incident_index(self._prefix)
        base = self._client.get(index=index, id=now.base_by_made[act.into])["_source"]
        document = {name: value for name, value in base.items() if name not in ("status", "assignee", "related")}
        document |= {"id": act.into, "own": [], "findings": []}
        self._client.options(ignore_status=409).create(index=index, id=act.into, document=document, refresh=True)

    def _own(self, part: str) -> Mapping[str, Any]:
        """Note the engine's word of a document that an older version wrote, before what is shown goes over it."""
        source = self._client.get(index=incident_index(self._prefix), id=part)["_source"]
        return {} if "own" in source else {"own": list(own_of(source))}

    def _put(self, now: Placement, findings: set[str]) -> None:
        """Note at each finding that was put somewhere by hand where it is now."""
        alias = FINDINGS.alias(self._prefix)
        found = self._client.search(
            index=alias, query={"terms": {"id": sorted(findings)}}, size=10_000, source_includes=["incident"]
        )
        for hit in found["hits"]["hits"]:
            if hit["_source"].get("incident") != now.placed[hit["_id"]]:
                doc = {"incident": now.placed[hit["_id"]]}
                self._client.update(index=hit["_index"], id=hit["_id"], doc=doc, retry_on_conflict=AGAIN, refresh=True)

    def _set(self, incident: str, doc: Mapping[str, Any]) -> None:
        index = incident_index(self._prefix)
        self._client.update(index=index, id=incident, doc=dict(doc), retry_on_conflict=AGAIN, refresh=True)
