"""What `xmsec playbook` works over: the home, or Elasticsearch where `XMSEC_ES_URL` is set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from xmsec.model.types import Incident, Intent
from xmsec.runtime.approval import Means

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from xmsec.cli.settings import Settings
    from xmsec.store.elastic_runs import ElasticRuns


class Desk(msgspec.Struct, frozen=True):
    """What incidents are answered with, found by the beginning of their id too. wished: intents, begun or not."""

    means: Means
    wished: Callable[[], Sequence[Intent]]
    where: str = "this home"


@contextmanager
def desk(home: Path | None) -> Iterator[Desk]:
    """Open the place where this deployment's runs are recorded. Raises ConfigError, ServiceError."""
    from xmsec.cli.home import opened
    from xmsec.cli.settings import settings
    from xmsec.respond.connectors import every_connector

    given = settings(home)
    if given.on_elastic:
        with _indexed(given) as found:
            yield found
        return
    with opened(home, write=False) as here:
        means = Means(here.deployment.playbooks, here.runs, every_connector(), here.incident)
        yield Desk(means, here.store.intents)


@contextmanager
def _indexed(given: Settings) -> Iterator[Desk]:
    from xmsec.cli.elastic import elastic
    from xmsec.cli.home import content_dirs, one_of
    from xmsec.cli.output import remark
    from xmsec.respond.connectors import every_connector
    from xmsec.respond.playbook import load_playbooks
    from xmsec.store.elastic_ensure import check
    from xmsec.store.elastic_read import incidents_like

    playbooks, problems = load_playbooks(content_dirs(given))
    for problem in problems:
        remark(f"xmsec: {problem}")
    with elastic(given) as client:
        check(client, None, given.es_prefix)

        def incident(beginning: str) -> Incident:
            found = {one.id: one for one in incidents_like(client, beginning, given.es_prefix)}
            return found[one_of(beginning, found, "incident", "the index", given.es_url)]

        means = Means(playbooks, elastic_runs(client, given), every_connector(), incident)
        yield Desk(means, tuple, given.es_url)


def life() -> str:
    """Return a name that this process alone has."""
    import os
    import socket
    import uuid

    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def elastic_runs(client: Elasticsearch, given: Settings) -> ElasticRuns:
    """Return the record in Elasticsearch, under a name that this process alone has."""
    import time

    from xmsec.cli.home import monotonic, now
    from xmsec.store.elastic_lease import Holder
    from xmsec.store.elastic_runs import Edge, ElasticRuns

    return ElasticRuns(client, Holder(life(), given.lease_s), Edge(now, monotonic, time.sleep), given.es_prefix)
