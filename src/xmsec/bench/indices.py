"""Indices of a bench's own, made before and deleted after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_schema import TABLES

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

Connect = Callable[[], AbstractContextManager["Elasticsearch"]]


@contextmanager
def indices(connect: Connect, key_check: str, prefix: str) -> Iterator[None]:
    """Make indices under a prefix, and delete them at the end."""
    with connect() as client:
        ensure(client, key_check, prefix)
    try:
        yield
    finally:
        with connect() as client:
            for index in client.indices.get(index=f"{prefix}-*"):
                client.indices.delete(index=index)
            for table in TABLES:
                client.indices.delete_index_template(name=table.alias(prefix))
