"""Who used which dataset how often, in Elasticsearch: a document a day, dataset, account, and thread of recordings.

A thread is what one partition brought, file after file. A document says up to which frame its thread is summed in it, so that a
file that is summed again changes nothing; the thread's own mark is written after all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.ids import digest
from xmsec.model.ports import Use, UseQuery
from xmsec.model.types import Source
from xmsec.store.elastic_error import address, answering
from xmsec.store.elastic_schema import PREFIX, USES
from xmsec.store.states import from_micros, micros
from xmsec.store.uses import DayUse, ordered

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

AT_ONCE = 1_000  # documents a request
BUCKETS = 5_000  # sums a request
TRIES = 5  # of documents that somebody else changed meanwhile, or that a busy server did not take
_BY = ("system", "dataset", "account")
_SUMS = {name: {how: {"field": name}} for name, how in (("events", "sum"), ("first", "min"), ("last", "max"))}
_CONFLICT = 409


class Mark(msgspec.Struct, frozen=True):
    """How far a thread was summed: up to which frame, and to which position (offset, part) of each source."""

    upto: int = -1
    sources: Mapping[Source, tuple[int, int]] = {}


class ElasticUses:
    """The daily sums of a deployment. Raises ServiceError when Elasticsearch does not answer, ConfigError when it refuses."""

    def __init__(self, client: Elasticsearch, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix

    def asked(self, query: UseQuery) -> Sequence[Use]:
        """Answer what the Reader seam is asked."""
        found: list[Use] = []
        after: Mapping[str, Any] | None = None
        while True:
            composite: dict[str, Any] = {"size": BUCKETS, "sources": [{name: {"terms": {"field": name}}} for name in _BY]}
            if after is not None:
                composite["after"] = after
            sums = {
                "events": {"sum": {"field": "events"}},
                "first": {"min": {"field": "first"}},
                "last": {"max": {"field": "last"}},
            }
            asked: Any = {"by": {"composite": composite, "aggs": sums}}
            with answering(self._client):
                told = self._client.search(index=USES.alias(self._prefix), query=_filter(query), size=0, aggs=asked)
            by = told["aggregations"]["by"]
            found += map(_use, by["buckets"])
            after = by.get("after_key")
            if after is None:
                return ordered(found)[: query.limit]

    def mark(self, thread: str) -> Mark:
        """Return how far a thread was summed. Raises ConfigError before `index ensure` was run."""
        with answering(self._client):
            found = self._client.options(ignore_status=404).get(index=USES.first(self._prefix), id=thread)
        if "error" in found:  # or the first sum would make an index without its mapping
            raise ConfigError("no index of use yet", where=USES.first(self._prefix), remedy="run `xmsec index ensure`")
        source = found.get("_source", {})
        places = {(stream, partition): (offset, part) for stream, partition, offset, part in source.get("sources", ())}
        return Mark(source.get("upto", -1), places)

    def add(self, thread: str, uses: Sequence[DayUse], mark: Mark) -> None:
        """Add what a thread's next file holds to its sums, and set its mark; the same again changes nothing."""
        with answering(self._client):
            for start in range(0, len(uses), AT_ONCE):
                self._add(thread, uses[start : start + AT_ONCE], mark.upto)
            places = [[*source, *place] for source, place in sorted(mark.sources.items())]
            document = {"thread": thread, "upto": mark.upto, "sources": places}
            self._client.index(index=USES.first(self._prefix), id=thread, document=document)

    def _add(self, thread: str, uses: Sequence[DayUse], upto: int) -> None:
        waiting = {_id(thread, use): use for use in uses}
        for _ in range(TRIES):
            waiting = self._written(thread, waiting, upto)
            if not waiting:
                return
        where, remedy = address(self._client), "see its log and disk"
        raise ServiceError(f"{len(waiting)} sums of use are not taken", where=where, remedy=remedy)

    def _written(self, thread: str, uses: Mapping[str, DayUse], upto: int) -> dict[str, DayUse]:
        """Write sums over those that are there; return what was not taken."""
        places = {one: _index(use, self._prefix) for one, use in uses.items()}
        asked = [{"_index": places[one], "_id": one} for one in uses]
        lines: list[Mapping[str, Any]] = []
        for present in self._client.mget(docs=asked)["docs"]:
            one, before = present["_id"], present.get("_source", {})
            if before.get("upto", -1) >= upto:
                continue
            seen = {"if_seq_no": present["_seq_no"], "if_primary_term": present["_primary_term"]} if before else {}
            lines.append({"index" if before else "create": {"_index": places[one], "_id": one, **seen}})
            lines.append({**_summed(uses[one], before), "thread": thread, "upto": upto})
        answers = self._client.bulk(operations=lines)["items"] if lines else []
        results = [result for answer in answers for result in answer.values()]
        lost = [result for result in results if result["status"] >= 400]
        for result in lost:
            if result["status"] not in (_CONFLICT, 429) and result["status"] < 500:
                what = f"sums of use are refused: {result['error']['type']}"
                raise ServiceError(what, where=address(self._client), remedy="run `xmsec index ensure`")
        return {result["_id"]: uses[result["_id"]] for result in lost}


def _id(thread: str, use: DayUse) -> str:
    return digest("use", thread, str(use.day), use.system, use.dataset, use.account)


def _index(use: DayUse, prefix: str) -> str:
    return f"{USES.alias(prefix)}-{EPOCH + timedelta(days=use.day):%Y.%m}"


def _summed(use: DayUse, before: Mapping[str, Any]) -> dict[str, Any]:
    whole = msgspec.structs.replace(
        use,
        events=use.events + before.get("events", 0),
        first=min(use.first, before.get("first", use.first)),
        last=max(use.last, before.get("last", use.last)),
    )
    return {**msgspec.structs.asdict(whole), "day": f"{EPOCH + timedelta(days=use.day):%Y-%m-%d}"}


def _filter(query: UseQuery) -> dict[str, Any]:
    named = zip(_BY, (query.systems, query.datasets, query.accounts), strict=True)
    terms: list[dict[str, Any]] = [{"terms": {name: list(values)}} for name, values in named if values]
    if query.since is not None:
        terms.append({"range": {"last": {"gte": micros(query.since)}}})
    if query.until is not None:
        terms.append({"range": {"first": {"lt": micros(query.until)}}})
    return {"bool": {"filter": terms}}


def _use(bucket: Mapping[str, Any]) -> Use:
    names, (first, last) = bucket["key"], (from_micros(int(bucket[one]["value"])) for one in ("first", "last"))
    return Use(names["system"], names["dataset"], names["account"], int(bucket["events"]["value"]), first, last)
