"""What a deployment is asked, and where decisions are recorded: its home, or Elasticsearch where `XMSEC_ES_URL` is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from xmsec.model.errors import ConfigError
from xmsec.model.ports import Reader
from xmsec.respond.drive import Runs
from xmsec.runtime.cases import Place

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings


class Casebook(msgspec.Struct, frozen=True):
    """Incidents with what people decide of them, and playbook runs. like: ids that begin so, two at most."""

    place: Place
    runs: Runs
    like: Callable[[str], Sequence[str]]
    where: str

    def incident(self, beginning: str) -> str:
        """Return the only incident that begins so. Raises ConfigError."""
        from xmsec.cli.home import one_of

        return one_of(beginning, self.like(beginning), "incident", "xmsec incidents list", self.where)


@contextmanager
def casebook(given: Settings) -> Iterator[Casebook]:
    """Open what people decide of incidents. Raises ConfigError, ServiceError."""
    if given.on_elastic:
        from xmsec.cli.desk import elastic_runs
        from xmsec.cli.elastic import elastic
        from xmsec.store.elastic_acts import ElasticActs
        from xmsec.store.elastic_ensure import check
        from xmsec.store.elastic_read import ElasticReader, incidents_like

        with elastic(given) as client:
            check(client, None, given.es_prefix)
            place = Place(ElasticReader(client, given.es_prefix), ElasticActs(client, given.es_prefix))

            def indexed(beginning: str) -> Sequence[str]:
                return [one.id for one in incidents_like(client, beginning, given.es_prefix)]

            yield Casebook(place, elastic_runs(client, given), indexed, given.es_url)
        return
    from xmsec.cli.home import key_of, now
    from xmsec.store.acts import SqliteActs
    from xmsec.store.read import SqliteReader
    from xmsec.store.runs import Runs as SqliteRuns
    from xmsec.store.sqlite import SqliteStore

    _there(given)
    with closing(SqliteStore(given.store_path, {})) as store:
        store.claim(key_of(given, create=False).check)

        def kept(beginning: str) -> Sequence[str]:
            query = "SELECT id FROM incidents WHERE substr(id, 1, ?) = ? ORDER BY id LIMIT 2"
            return [name for (name,) in store.connection.execute(query, (len(beginning), beginning))]

        place = Place(SqliteReader(store.connection), SqliteActs(lambda: store.connection))
        yield Casebook(place, SqliteRuns(lambda: store.connection, now), kept, "this home")


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
    from xmsec.cli.home import key_of
    from xmsec.store.read import SqliteReader
    from xmsec.store.sqlite import SqliteStore

    _there(given)
    with closing(SqliteStore(given.store_path, {})) as store:
        store.claim(key_of(given, create=False).check)
        yield SqliteReader(store.connection)


def _there(given: Settings) -> None:
    from xmsec.store.unfinished import refuse

    refuse(given.home)
    if not given.store_path.exists():
        raise ConfigError("no such home", where=str(given.home), remedy="run xmsec demo or xmsec scan first, or name --home")
