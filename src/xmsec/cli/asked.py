"""The Reader of a deployment: of its home, or of Elasticsearch where `XMSEC_ES_URL` is set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Reader

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings


@contextmanager
def asked(given: Settings) -> Iterator[Reader]:
    """Open what people ask. Raises ConfigError, ServiceError."""
    if given.on_elastic:
        from xmsec.cli.elastic import elastic
        from xmsec.store.elastic_ensure import check
        from xmsec.store.elastic_read import ElasticReader

        with elastic(given) as client:
            check(client, None, given.es_prefix)
            yield ElasticReader(client, given.es_prefix)
        return
    from xmsec.store.read import SqliteReader
    from xmsec.store.sqlite import connect
    from xmsec.store.unfinished import refuse

    if not given.store_path.exists():
        raise ConfigError("no such home", where=str(given.home), remedy="run xmsec demo or xmsec scan first, or name --home")
    refuse(given.home)
    with closing(connect(given.store_path)) as connection:
        yield SqliteReader(connection)
