"""The Triage seam over Elasticsearch: partial updates of the fields that the engine never writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xmsec.model.errors import ServiceError
from xmsec.model.ports import Table
from xmsec.model.types import Status
from xmsec.store.elastic import CONFLICTS
from xmsec.store.elastic_error import address, told
from xmsec.store.elastic_schema import PREFIX

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

SET_AT_ONCE = 1_000


class ElasticTriage:
    """Writes what people say, and waits until it can be read."""

    def __init__(self, client: Elasticsearch, prefix: str = PREFIX) -> None:
        self._client, self._prefix = client, prefix

    def set(self, table: Table, ids: Sequence[str], status: Status, assignee: str | None = None) -> None:
        """Give records a status; an id that is not there is left out. Raises ServiceError."""
        from elasticsearch import ApiError, TransportError

        doc: dict[str, str] = {"status": status, **({} if assignee is None else {"assignee": assignee})}
        try:
            for start in range(0, len(ids), SET_AT_ONCE):
                self._send(table, ids[start : start + SET_AT_ONCE], doc)
        except (ApiError, TransportError) as error:
            raise told(self._client, error) from error

    def _send(self, table: Table, ids: Sequence[str], doc: dict[str, str]) -> None:
        alias = f"{self._prefix}-{table}"
        found = self._client.search(index=alias, query={"terms": {"id": list(ids)}}, size=SET_AT_ONCE, source=False)
        operations: list[Any] = []
        for hit in found["hits"]["hits"]:
            place = {"_index": hit["_index"], "_id": hit["_id"], "retry_on_conflict": CONFLICTS}
            operations += [{"update": place}, {"doc": doc}]
        if operations and self._client.bulk(operations=operations, refresh=True)["errors"]:
            raise ServiceError("not every record was set", where=address(self._client), remedy="do it again")
