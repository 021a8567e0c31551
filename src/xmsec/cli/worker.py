"""`xmsec worker` and `topics`: the production runtime on Kafka and Elasticsearch."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

    from xmsec.classify.epochs import Keyring
    from xmsec.cli.settings import Settings
    from xmsec.runtime.assemble import Deployment
    from xmsec.runtime.faust.app import Notices
    from xmsec.runtime.faust.control import Control
    from xmsec.runtime.faust.meter import Meter
    from xmsec.runtime.faust.roads import Roads
    from xmsec.runtime.faust.topics import Cluster
    from xmsec.runtime.responder import Responder

topics = typer.Typer(help="What Kafka needs.", no_args_is_help=True)

WORKER_EXAMPLE = example("XMSEC_KEY_FILE=/etc/xmsec/key xmsec worker all")


def worker(
    roles: Annotated[list[str] | None, typer.Argument(help="classify, detect, index, notify, record, respond, or all.")] = None,
    streams: Annotated[str | None, typer.Option("--streams", help="Names, separated by commas.", show_default="all")] = None,
    idle: Annotated[
        float, typer.Option("--idle", help="Seconds after which a source that says nothing lets time pass.")
    ] = 10.0,
    seal_after: Annotated[
        float,
        typer.Option("--seal-after", help="Seconds after which what was recorded becomes a file; 16 MiB do at once.", min=1),
    ] = 900.0,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            help="Serve /metrics, /healthz and /readyz.",
            min=0,
            max=65535,
            show_default="$XMSEC_METRICS_PORT",
        ),
    ] = None,
    home: Home = None,
) -> None:
    """Run Faust agents on Kafka, any number beside each other.

    Findings and playbook runs go to Elasticsearch, recordings to XMSEC_RECORDINGS, notices where notify/ says.

    Refuses to start without the deployment's key. Ends at Ctrl-C or SIGTERM after it has sent what it holds.
    """
    from xmsec.cli.elastic import elastic
    from xmsec.cli.home import key_of
    from xmsec.cli.kafka import cluster
    from xmsec.cli.logs import begin
    from xmsec.cli.output import remark
    from xmsec.cli.settings import settings
    from xmsec.runtime.faust.app import Place, Shelf
    from xmsec.runtime.faust.app import worker as work
    from xmsec.runtime.faust.meter import Meter
    from xmsec.runtime.faust.rights import survey
    from xmsec.store.elastic_ensure import check
    from xmsec.store.elastic_uses import ElasticUses

    given = settings(home)
    wanted = _wanted(given, roles or ())
    begin()
    port = given.metrics_port if metrics_port is None else metrics_port
    meter = Meter(given.zone)
    with elastic(given) as client, _delivering(given, meter, wanted) as notices, _watched(meter, given.host, port):
        keyring = key_of(given, create=False)
        compared = _compared(given, client, keyring.check)
        if wanted & {"index", "respond"}:
            check(client, keyring.check, given.es_prefix)
        control = controlled(given, keyring)
        deployment = control.deployment
        shelf = Shelf(given.shelf, lambda: control.keyring.check, seal_after, ElasticUses(client, given.es_prefix))
        own = cluster(given, deployment.streams, streams)
        if not compared:
            survey(own, wanted)  # an error is one line: what is wrong with Kafka is said first, and alone
            remark("the key is not compared with all that was written: recordings or Elasticsearch do not answer")
        responder = _responder(client, given, deployment) if "respond" in wanted else None
        place = Place(
            own, given.home / "faust", idle_s=idle, recordings=shelf, meter=meter, responder=responder, notices=notices
        )
        control.taken = partial(_taken, control.roads, meter, responder)
        control.taken(deployment)
        with control.watching(own), _told(client, given.es_prefix, meter, own):
            work(control.roads, place, wanted, _sink(client, given.es_prefix) if "index" in wanted else None)


def _wanted(given: Settings, roles: Collection[str]) -> set[str]:
    """Return the roles that are meant. Raises ConfigError for one that there is not."""
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.faust.rights import ROLES

    every = {role for role in ROLES if role != "notify" or given.notify_targets is not None}
    wanted = every if not roles or "all" in roles else set(roles)
    if wanted - set(ROLES):
        what = f'no role "{sorted(wanted - set(ROLES))[0]}"'
        raise ConfigError(what, where="worker", remedy=f"one of {', '.join(ROLES)}, all")
    return wanted


def controlled(given: Settings, keyring: Keyring) -> Control:
    """Return what a worker of this home goes by, with what was published before it began. Raises ConfigError, ServiceError."""
    from xmsec.cli.home import deployment_of, key_of
    from xmsec.cli.kafka import cluster
    from xmsec.runtime.faust.control import Control, published
    from xmsec.runtime.releases import Workshop

    given.home.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(given.home / "releases", given.home / "cache", given.zone)
    control = Control(keyring, workshop, lambda: deployment_of(given, control.keyring), lambda: key_of(given, create=False))
    control.hear(published(cluster(given, {})) or ())  # what this login lacks is said by `survey`
    return control


def _taken(roads: Roads, meter: Meter, responder: Responder | None, deployment: Deployment) -> None:
    """Tell those who go by content what it is now."""
    meter.release = roads.number
    meter.per_day = {name: recipe.budget_per_day for name, recipe in deployment.recipes.items()}
    if responder is not None:
        responder.playbooks = deployment.playbooks


@contextmanager
def _delivering(given: Settings, meter: Meter, wanted: set[str]) -> Iterator[Notices | None]:
    """Deliver findings, where that is one of the roles."""
    if "notify" not in wanted:
        yield None
        return
    from xmsec.cli.deliveries import production

    with production(given) as (courier, notices):
        meter.more = courier.metrics
        yield notices


@contextmanager
def _watched(meter: Meter, host: str, port: int) -> Iterator[None]:
    """Serve what a worker says of itself, where it was told a port."""
    if not port:
        yield
        return
    from xmsec.cli.home import now
    from xmsec.cli.output import remark
    from xmsec.runtime.service import Serving, health, with_problems

    with Serving(with_problems(health(lambda: meter.metrics(now()), meter.problems)), host, port) as serving:
        remark(f"metrics {serving.url}/metrics")
        yield


def _told(client: Elasticsearch, prefix: str, meter: Meter, own: Cluster) -> AbstractContextManager[None]:
    """Tell Elasticsearch what this process counts."""
    from xmsec.cli.desk import life
    from xmsec.cli.home import now
    from xmsec.runtime.faust.telling import telling
    from xmsec.store.elastic_counts import Life, Telling

    told = Telling(client, Life(life(), now()), prefix)
    streams = {own.raw(stream): stream for stream in own.streams}

    def tell() -> None:
        at = now()
        told.tell(meter.counted(streams, at), at)

    return telling(tell)


def _responder(client: Elasticsearch, given: Settings, deployment: Deployment) -> Responder:
    import logging

    from xmsec.cli.desk import elastic_runs
    from xmsec.respond.connectors import every_connector
    from xmsec.runtime.responder import Responder

    say = logging.getLogger("xmsec.worker").warning
    return Responder(deployment.playbooks, elastic_runs(client, given), every_connector(), lambda error: say("%s", error))


def _compared(given: Settings, client: Elasticsearch, key_check: str) -> bool:
    """Refuse other keys than the deployment's, or without its newest epoch; false when who knows them does not answer."""
    from elasticsearch import ApiError, TransportError

    from xmsec.model.errors import ServiceError
    from xmsec.store.archive import Archive
    from xmsec.store.claim import agrees
    from xmsec.store.elastic_ensure import OTHER, kept_check

    try:
        Archive(given.shelf).check(key_check)
        kept = kept_check(client, given.es_prefix)
    except (ServiceError, ApiError, TransportError):
        return False
    if kept:
        agrees(kept, key_check, f"{given.es_url}, {given.es_prefix}-*", OTHER)
    return True


def _sink(client: Elasticsearch, prefix: str) -> Any:
    from xmsec.store.elastic import index as write

    def sink(findings: Any, incidents: Any, _intents: Any) -> Any:
        return write(client, findings, incidents, prefix=prefix).refused

    return sink


@topics.command("ensure", epilog=example("xmsec topics ensure --partitions 8"))
def topics_ensure(
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", help="Of new topics, and of raw topics that have fewer.", min=1, show_default="as there, or 8"
        ),
    ] = None,
    replicas: Annotated[int, typer.Option("--replicas", help="Of each partition of a new topic.", min=1)] = 1,
    streams: Annotated[str | None, typer.Option("--streams", help="Names, separated by commas.", show_default="all")] = None,
    home: Home = None,
) -> None:
    """Create the topics that are missing, set what differs on the others, say what was changed; safe to repeat."""
    from xmsec.cli.output import write
    from xmsec.runtime.faust.topics import ensure

    for change in ensure(_named(home, streams), partitions, replicas):
        write(f"{change.topic} {change.what}")


@topics.command("describe", epilog=example("xmsec topics describe"))
def topics_describe(home: Home = None, form: Output = None) -> None:
    """List the deployment's topics with partitions, replicas, settings, and what differs from how it should be."""
    from xmsec.cli.output import rows
    from xmsec.runtime.faust.topics import look

    told = []
    for topic in look(_named(home, None)):
        settings = [f"{name}={value}" for name, value in topic.settings.items()]
        drift = [f"{name}={value}" for name, value in topic.drift.items()]
        if not topic.partitions:
            drift = ["not shown to this login" if topic.hidden else "missing"]
        told.append(
            {
                "topic": topic.name,
                "partitions": topic.partitions,
                "replicas": topic.replicas,
                "settings": settings,
                "wanted": drift,
            }
        )
    rows(told, form, {name: name for name in ("topic", "partitions", "replicas", "settings", "wanted")})


def _named(home: Path | None, streams: str | None) -> Cluster:
    from xmsec.cli.kafka import named
    from xmsec.cli.settings import settings

    return named(settings(home), streams)
