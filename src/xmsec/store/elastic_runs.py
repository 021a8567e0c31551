"""The record of playbook runs in Elasticsearch: one document a run, with its chain of entries and who goes on with it.

Every write names the version of the document that it follows (compare and set). Whoever goes on with a run holds it and says so
again and again: each such word makes `term` grow. Another one may take the run when `term` has not moved for the holder's own
`lease_ms` on the other's clock, so that no two clocks need to agree; the former holder's next write is then refused. Each run's
chain begins anew and names the end of the chain of a run before it, so that a document that was taken away is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.model.clock import rfc3339
from xmsec.model.errors import PolicyError, ServiceError
from xmsec.respond.chain import Entry, Kind, Verdict, broken, linked
from xmsec.respond.drive import HeldError
from xmsec.store.elastic_error import told
from xmsec.store.elastic_lease import Held, Holder, Lease
from xmsec.store.elastic_schema import PREFIX, RUNS

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PAGE = 500  # runs a request; of some KiB each
BEATS = 4  # a holder speaks so often within its lease
AFTER = "after"  # in a first entry: the run that was newest then, and the hash of its last entry


class Edge(msgspec.Struct, frozen=True):
    """The clocks of the edge."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    wait: Callable[[float], object]


class ElasticRuns:
    """Keeps runs. Raises ServiceError when Elasticsearch does not answer; may be used by several threads, a run by one."""

    def __init__(self, client: Elasticsearch, holder: Holder, edge: Edge, prefix: str = PREFIX) -> None:
        self._client, self._holder, self._edge = client, holder, edge
        self._index, self._alias = RUNS.first(prefix), RUNS.alias(prefix)
        self._turns = count()
        self._leases: dict[str, Lease] = {}
        self._watched: dict[str, tuple[int, float]] = {}  # the term of a run that another one holds, and since when it stands

    def entries(self, run: str) -> Sequence[Entry]:
        """Return what is recorded of a run, in order."""
        found = self._get(run)
        return () if found is None else found.entries

    def append(self, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str) -> Entry:
        """Record one more thing of a run that is held; it is on disk when this returns. Raises HeldError when it was taken."""
        lease = self._leases[run]
        before = lease.entries
        if not before:
            body = {**body, **self._newest()}
        entry = linked(before[-1] if before else None, run, kind, step, body, by, rfc3339(self._edge.now()))
        facts = {name: getattr(entry, name) for name in ("kind", "step", "by", "hash", "number", "at")}
        if not before:
            facts |= {"run": run, "began": entry.at, **{name: body.get(name) for name in ("playbook", "incident")}}
        with self._answering():
            lease.write({**facts, "entries": [msgspec.to_builtins(one) for one in (*before, entry)]})
        lease.entries = (*before, entry)
        return entry

    def runs(self) -> Sequence[str]:
        """Return the runs in the order in which they began."""
        return [str(hit["_id"]) for hit in self._all({"match_all": {}}, False)]

    def of(self, incidents: Sequence[str]) -> Mapping[str, Sequence[Entry]]:
        """Return the runs that began for these incidents, in the order in which they began, with what is recorded of them."""
        found = self._all({"terms": {"incident": list(incidents)}}, True) if incidents else ()
        return {str(hit["_id"]): _held(hit).entries for hit in found}

    def follows(self, run: str) -> bool:
        """Whether each entry of a run follows from the one before it, up to the last that its document names."""
        found = self._get(run)
        return found is not None and _wrong(run, found) is None

    @contextmanager
    def hold(self, run: str, *, patient: bool = True) -> Iterator[None]:
        """Be the only one who goes on with a run. Raises HeldError while another one does, PolicyError behind altered entries.

        patient: wait until it is told whether the other one lives. A run that was not there is made by its first entry.
        """
        lease = self._take(run, patient)
        self._leases[run] = lease
        quiet = Event()
        beating = Thread(target=self._beat, args=(lease, quiet), daemon=True)
        beating.start()
        try:
            if broken(lease.entries) is not None:
                raise PolicyError("the record of this run was altered", where=run, remedy="see xmsec playbook verify")
            yield
        finally:
            quiet.set()
            beating.join()
            del self._leases[run]
            with suppress(ServiceError, HeldError), self._answering():  # then it is over when the lease is
                lease.release()

    def abandoned(self) -> Iterable[str]:
        """Return the runs whose holder was not heard for its lease; those that are held are watched from call to call."""
        held = [str(hit["_id"]) for hit in self._all({"exists": {"field": "holder"}}, False)]
        self._watched = {run: seen for run, seen in self._watched.items() if run in held}
        return [run for run in held if run not in self._leases and self._is_abandoned(run)]

    def verify(self) -> Verdict:
        """Check each run's chain, and that every run which another one names is there as it was named."""
        chains: dict[str, Sequence[Entry]] = {}
        total = 0
        for hit in self._all({"match_all": {}}, True):
            found, run = _held(hit), str(hit["_id"])
            chains[run] = found.entries
            total += len(found.entries)
            wrong = _wrong(run, found)
            if wrong is not None:
                return Verdict(total, wrong, run)
        for entries in chains.values():
            other, _, last = entries[0].body.get(AFTER, "").partition(" ")
            if other and all(entry.hash != last for entry in chains.get(other, ())):
                return Verdict(total, len(chains.get(other, ())) + 1, other)
        return Verdict(total)

    def _take(self, run: str, patient: bool) -> Lease:
        from elasticsearch import ConflictError

        first: int | None = None
        while True:
            found = self._get(run)
            holder = Holder(f"{self._holder.name}/{next(self._turns)}", self._holder.lease_s)  # no other thread's either
            lease = Lease(self._client, self._index, run, holder, found)
            if found is None:
                return lease
            if not found.holder or self._is_expired(run, found):
                with suppress(ConflictError), self._answering(ConflictError):
                    lease.take()
                    self._watched.pop(run, None)
                    return lease
                continue
            first = found.term if first is None else first
            if not patient or found.term != first:
                raise HeldError("another process goes on with this run", where=found.holder, remedy="wait until it ends")
            self._edge.wait(found.lease_ms / 1000 / BEATS)

    def _is_abandoned(self, run: str) -> bool:
        found = self._get(run)
        return found is not None and bool(found.holder) and self._is_expired(run, found)

    def _is_expired(self, run: str, found: Held) -> bool:
        """Whether a holder was not heard for its lease, as far as we have listened."""
        now = self._edge.monotonic()
        term, since = self._watched.get(run, (-1, now))
        if term != found.term:
            self._watched[run] = (found.term, now)
            return False
        return now - since >= found.lease_ms / 1000

    def _beat(self, lease: Lease, quiet: Event) -> None:
        """Say again and again that the run is held, while a step takes its time."""
        while not quiet.wait(self._holder.lease_s / BEATS):
            with suppress(ServiceError, HeldError), self._answering():  # the next write tells whether it is still ours
                lease.beat()

    def _newest(self) -> Mapping[str, str]:
        """Name the run that began last, so that it is missed when it is taken away."""
        with self._answering():
            self._client.indices.refresh(index=self._alias)
            sort: Any = [{"began": "desc"}, {"run": "desc"}]
            hits = self._client.search(index=self._alias, size=1, sort=sort)["hits"]["hits"]
        return {AFTER: f"{hits[0]['_id']} {hits[0]['_source']['hash']}"} if hits else {}

    def _get(self, run: str) -> Held | None:
        with self._answering():
            hit = self._client.options(ignore_status=404).get(index=self._index, id=run)
            if not hit.get("found"):
                if hit.meta.status == 404 and "error" in hit.body:
                    self._client.get(index=self._index, id=run)  # no index: said as the error that it is
                return None
        return _held(hit.body)

    def _all(self, query: Mapping[str, Any], whole: bool) -> Iterator[Mapping[str, Any]]:
        """Yield runs in the order in which they began, as they are at this moment."""
        sort: Any = [{"began": "asc"}, {"run": "asc"}]
        with self._answering():
            self._client.indices.refresh(index=self._alias)
            after: Any = None
            while True:
                hits = self._client.search(
                    index=self._alias, query=dict(query), sort=sort, size=PAGE, search_after=after, source=whole
                )["hits"]["hits"]
                yield from hits
                if len(hits) < PAGE:
                    return
                after = hits[-1]["sort"]

    @contextmanager
    def _answering(self, *but: type[Exception]) -> Iterator[None]:
        from elasticsearch import ApiError, TransportError

        try:
            yield
        except but:
            raise
        except (ApiError, TransportError) as error:
            raise told(self._client, error) from error


def _wrong(run: str, found: Held) -> int | None:
    """Return the number of the first entry of a run that does not follow or is missing, or None."""
    wrong = broken(found.entries)
    if wrong is None and any(entry.run != run for entry in found.entries):
        wrong = 1
    if wrong is None and (not found.entries or found.entries[-1].hash != found.hash):
        wrong = len(found.entries) + 1
    return wrong


def _held(hit: Mapping[str, Any]) -> Held:
    """Read a document; what was altered into something else is an entry whose hash does not fit."""
    source = hit["_source"]
    try:
        entries = msgspec.convert(source.get("entries", []), tuple[Entry, ...])
    except msgspec.ValidationError:
        entries = (Entry(1, str(hit["_id"]), "started", "", {}, "", "", ""),)
    return Held(
        entries,
        str(source.get("hash") or ""),
        str(source.get("holder") or ""),
        int(source.get("term") or 0),
        int(source.get("lease_ms") or 0),
        (int(hit.get("_seq_no", 0)), int(hit.get("_primary_term", 0))),
    )
