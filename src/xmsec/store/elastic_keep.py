"""How long records stay in Elasticsearch, and what is there: whole months go, findings before the incidents that hold them.

Sums of use, and what workers counted, stay longer, so that a grant that nobody uses is seen as such.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.store.elastic_ensure import Present, present
from xmsec.store.elastic_schema import COUNTS, FINDINGS, INCIDENTS, PREFIX, SINGLE, USES
from xmsec.store.uses import KEPT_DAYS

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

MARGIN = timedelta(days=2)  # an incident's findings start within its local day, which may end in the next month


class Held(msgspec.Struct, frozen=True):
    """An index as `index status` tells it. age_days: since its month ended; None where it is not of a month."""

    index: str
    documents: int
    bytes: int
    schema: int
    age_days: int | None


class Pruned(msgspec.Struct, frozen=True):
    """What went, or would go: indices of findings, use and counts with their documents, and incidents."""

    indices: Sequence[Held]
    incidents: int


def status(client: Elasticsearch, now: datetime, prefix: str = PREFIX) -> Iterator[Held]:
    """Say what is there, an index a row, by name."""
    for one in present(client, prefix):
        total = client.indices.stats(index=one.index, metric=["docs", "store"])["_all"]["primaries"]
        ended = _ended(one)
        age = None if ended is None else max(0, (now - ended).days)
        yield Held(one.name, total["docs"]["count"], total["store"]["size_in_bytes"], one.schema, age)


def prune(client: Elasticsearch, now: datetime, days: int, prefix: str = PREFIX, *, rehearse: bool = False) -> Pruned:
    """Delete the months that ended more than so many days ago, then the incidents none of whose findings is left.

    Months of use and of counts go when they are over by as many days as the embedded store keeps them, where that is later.

    What people set on a finding goes with it, never before; what they set on an incident goes after its last finding. Killed in
    between, the next run deletes the rest. rehearse: only say what would go.
    """
    first_kept = _first_kept(now, days)
    longer = _first_kept(now, max(days, KEPT_DAYS))
    kept_from = {FINDINGS.name: first_kept, USES.name: longer, COUNTS.name: longer}
    months = ((one, _ended(one)) for one in present(client, prefix))
    old = {one.name: one.index for one, ended in months if ended and ended <= kept_from[one.table.name]}
    gone = [held for held in status(client, now, prefix) if held.index in old]
    closed = {"range": {"opened": {"lt": (first_kept - MARGIN).isoformat()}}}
    alias = INCIDENTS.alias(prefix)
    if rehearse:
        return Pruned(gone, client.count(index=alias, query=closed)["count"])
    for index in old.values():
        client.indices.delete(index=index)
    return Pruned(gone, _delete(client, alias, closed))


def _first_kept(now: datetime, days: int) -> datetime:
    return (now - timedelta(days=days)).astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _delete(client: Elasticsearch, alias: str, query: Mapping[str, Any]) -> int:
    """Delete what a query finds; return how many."""
    from elasticsearch.helpers import scan, streaming_bulk

    hits = scan(client, index=alias, query={"query": query, "_source": False})
    deletes = ({"_op_type": "delete", "_index": hit["_index"], "_id": hit["_id"]} for hit in hits)
    told = streaming_bulk(client, deletes, raise_on_error=False, max_retries=3, refresh=True)
    return sum(taken for taken, _ in told)


def _ended(one: Present) -> datetime | None:
    """Return when the month of an index of findings, use or counts was over; others are not cut into months."""
    month = one.name.rpartition("-")[2]
    if one.table not in (FINDINGS, USES, COUNTS) or month == SINGLE:
        return None
    start = datetime.strptime(month, "%Y.%m").replace(tzinfo=UTC)
    return (start + timedelta(days=31)).replace(day=1)
