"""What workers counted, in Elasticsearch: running totals of each life of a worker, and how each partition stands.

A document is one total of one life, written over with what it has become; a worker that starts again has another life, and what
all of them counted is added up when it is asked for. So a write that comes twice changes nothing, and no two workers write the
same total. A partition's documents (its backlog, its event time) belong to whoever carries it: the last word counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from xmsec.model.errors import ServiceError
from xmsec.model.ids import digest
from xmsec.model.ports import Backlog, Flow
from xmsec.model.types import Clock, Proposals, Source
from xmsec.store.elastic_ensure import check
from xmsec.store.elastic_error import address, answering
from xmsec.store.elastic_schema import COUNTS, PREFIX
from xmsec.store.figures import CAME, OBSERVED
from xmsec.store.states import from_micros, micros

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

AT_ONCE = 1_000  # documents a request
BUCKETS = 5_000  # sums a request
PARTITIONS = 10_000  # that are looked at
Kind = Literal["records", "refused", "observed"]
Sums = Mapping[tuple[str, ...], int]
_BY: Mapping[Kind, tuple[str, ...]] = {
    "records": ("stream", "what"),
    "refused": ("stream", "leg", "reason"),
    "observed": ("dataset", "field", "type"),
}


class Counted(msgspec.Struct, frozen=True):
    """What one life of a worker counted so far, and how its partitions stand."""

    sums: Mapping[Kind, Sums] = {}
    clocks: Mapping[Source, Clock] = {}
    backlogs: Sequence[Backlog] = ()


class Life(msgspec.Struct, frozen=True):
    """One run of one worker's process: its name, which no other has, and when it began."""

    name: str
    began: datetime


class Telling:
    """Writes what one life counted; what did not change since is not written again. Raises ServiceError, ConfigError."""

    def __init__(self, client: Elasticsearch, life: Life, prefix: str = PREFIX) -> None:
        self._client, self._life, self._prefix = client, life, prefix
        self._month = f"{COUNTS.alias(prefix)}-{life.began:%Y.%m}"
        self._told: dict[tuple[str, ...], Any] = {}  # what is there, by kind and names
        self._checked = False

    def tell(self, counted: Counted, now: datetime) -> None:
        """Write over what was told before; the same again changes nothing."""
        with answering(self._client):
            if not self._checked:
                check(self._client, None, self._prefix)  # or the first document would make an index without its mapping
                self._checked = True
            changed = [one for one in _standing(counted) if self._told.get(one[0]) != one[1]]
            for start in range(0, len(changed), AT_ONCE):
                self._write(changed[start : start + AT_ONCE], micros(now))

    def _write(self, some: Sequence[tuple[tuple[str, ...], Mapping[str, Any]]], at: int) -> None:
        lines: list[Mapping[str, Any]] = []
        for (kind, *names), values in some:
            own = kind in _BY  # a total of this life
            place = self._month if own else COUNTS.first(self._prefix)
            name = digest(kind, self._life.name if own else "", *names)
            lines.append({"index": {"_index": place, "_id": name}})
            lines.append({"kind": kind, "life": self._life.name, "at": at, **values})
        items = self._client.bulk(operations=lines)["items"]
        lost = [item["index"] for item in items if item["index"]["status"] >= 400]
        if lost:
            what, where = f"{len(lost)} counts are not taken: {lost[0]['error']['type']}", address(self._client)
            raise ServiceError(what, where=where, remedy="see its log and disk")
        self._told.update(some)


def _standing(counted: Counted) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for kind, sums in counted.sums.items():
        for names, total in sums.items():
            yield (kind, *names), {**dict(zip(_BY[kind], names, strict=True)), "total": total}
    for (stream, partition), clock in counted.clocks.items():
        reached = {"heard": clock.maximum, "received": clock.received}
        moments = {name: None if at is None else micros(at) for name, at in reached.items()}
        yield ("heard", stream, partition), {"stream": stream, "partition": partition, **moments}
    for one in counted.backlogs:
        values = {"role": one.role, "topic": one.topic, "partition": str(one.partition), "stream": one.stream}
        told = {"total": one.messages, "received": micros(one.told)}  # the moment makes it another each time
        yield ("backlog", one.role, one.topic, str(one.partition)), {**values, **told}


class ElasticCounts:
    """What all lives counted. Raises ServiceError when Elasticsearch does not answer."""

    def __init__(self, client: Elasticsearch, prefix: str = PREFIX) -> None:
        self._client, self._alias = client, COUNTS.alias(prefix)

    def flows(self) -> Mapping[str, Flow]:
        """Return what each stream brought."""
        by: dict[str, dict[str, int]] = {}
        for (stream, what), total in self._sums("records"):
            by.setdefault(stream, {})[what] = total
        refused: dict[str, dict[tuple[str, str], int]] = {}
        for (stream, leg, reason), total in self._sums("refused"):
            refused.setdefault(stream, {})[leg, reason] = total
        heard: dict[str, list[Mapping[str, Any]]] = {}
        for one in self._partitions("heard"):
            heard.setdefault(one["stream"], []).append(one)
        return {
            name: Flow(
                sum(by.get(name, {}).get(what, 0) for what in CAME),
                by.get(name, {}),
                refused.get(name, {}),
                _latest(heard.get(name, ()), "heard"),
                _latest(heard.get(name, ()), "received"),
            )
            for name in {*by, *refused, *heard}
        }

    def backlogs(self) -> Sequence[Backlog]:
        """Return what workers had not carried when they last said so, by role, topic and partition."""
        found = self._partitions("backlog")
        return sorted(
            Backlog(one["role"], one["topic"], int(one["partition"]), one["total"], from_micros(one["received"]), one["stream"])
            for one in found
        )

    def observed(self, datasets: Sequence[str]) -> Proposals:
        """Return what was seen in which field of these datasets."""
        found: dict[tuple[str, str, str], int] = {}
        for (dataset, field, named), total in self._sums("observed", {"terms": {"dataset": list(datasets)}}):
            found[dataset, field, named] = total
            if len(found) == OBSERVED:
                break
        return found

    def observed_datasets(self, limit: int) -> Sequence[str]:
        """Return the first names of all datasets in which something was seen."""
        asked: Any = {"by": {"terms": {"field": "dataset", "size": limit, "order": {"_key": "asc"}}}}
        found = self._search(query={"term": {"kind": "observed"}}, size=0, aggs=asked)
        return [bucket["key"] for bucket in found["aggregations"]["by"]["buckets"]]

    def _sums(self, kind: Kind, *terms: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield the totals of a kind over all lives, by their names."""
        names = _BY[kind]
        composite: dict[str, Any] = {"size": BUCKETS, "sources": [{name: {"terms": {"field": name}}} for name in names]}
        asked: Any = {"by": {"composite": composite, "aggs": {"total": {"sum": {"field": "total"}}}}}
        query = {"bool": {"filter": [{"term": {"kind": kind}}, *terms]}}
        while True:
            by = self._search(query=query, size=0, aggs=asked)["aggregations"]["by"]
            for bucket in by["buckets"]:
                yield tuple(bucket["key"][name] for name in names), int(bucket["total"]["value"])
            if len(by["buckets"]) < BUCKETS:
                return
            composite["after"] = by["after_key"]

    def _partitions(self, kind: str) -> Sequence[Mapping[str, Any]]:
        hits = self._search(query={"term": {"kind": kind}}, size=PARTITIONS)["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    def _search(self, **asked: Any) -> Any:
        with answering(self._client):
            return self._client.search(index=self._alias, **asked).body


def _latest(partitions: Sequence[Mapping[str, Any]], name: str) -> datetime | None:
    moments = [one[name] for one in partitions if one[name] is not None]
    return from_micros(max(moments)) if moments else None
