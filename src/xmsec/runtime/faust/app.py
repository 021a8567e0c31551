"""A worker: one Faust app for each of its roles, in one process.

classify → `tokened` → enrich → `events` → detect → `findings` → group → `cases` → index, respond, notify; what no hop can
carry → `dead`. A role is a consumer group of its own (Faust lets only like join like), so that a store which is away holds up
nobody but its index.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import faust
import msgspec

from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.types import Finding, Source
from xmsec.runtime.embedded import YOUNG
from xmsec.runtime.faust import frames
from xmsec.runtime.faust.access import credentials, servers
from xmsec.runtime.faust.agents import Detect, Enrich, Group, Index, Sink, Spread, Way, follow
from xmsec.runtime.faust.batches import BATCH_BYTES
from xmsec.runtime.faust.classify import Classify
from xmsec.runtime.faust.ending import Worker
from xmsec.runtime.faust.meter import Meter
from xmsec.runtime.faust.post import Post, log
from xmsec.runtime.faust.record import LEG, Record
from xmsec.runtime.faust.rights import survey
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.topics import Cluster, topic_id
from xmsec.runtime.responder import Responder
from xmsec.store.archive import Archive
from xmsec.store.elastic_uses import ElasticUses
from xmsec.store.recorder import Origin, Recorder
from xmsec.store.threads import Threads

LOOK_S = 1.0  # how often held runs are looked at; a lease of some seconds tells whether their holder lives


class Place(msgspec.Struct, frozen=True):
    """Where a worker runs.

    idle_s: how long a source may say nothing until event time passes without it; session_s: how long until the partitions of a
    worker that was killed move to others; recordings: where recordings go; meter: what says how it goes; responder: who begins
    playbook runs; notices: what keeps findings for deliveries.
    """

    cluster: Cluster
    datadir: Path
    idle_s: float = 10.0
    session_s: float = 10.0
    recordings: Shelf | None = None
    meter: Meter | None = None
    responder: Responder | None = None
    notices: Notices | None = None


class Notices(msgspec.Struct, frozen=True):
    """What keeps findings until they are delivered, and from when on there is something to deliver."""

    put: Callable[[Sequence[Finding]], None]
    since: datetime


class Shelf(msgspec.Struct, frozen=True):
    """Where recordings go (a folder or a URI), the check values of their keys, and how long a part may wait to be sealed.

    uses: where the use that they tell is summed, None: nowhere.
    """

    place: str
    key_check: Callable[[], str]
    seal_after_s: float = 900.0
    uses: ElasticUses | None = None


def worker(roads: Roads, place: Place, roles: Collection[str], sink: Sink | None = None) -> None:
    """Run these roles until a signal; it ends the process.

    sink: where findings, incidents and intents go; it raises a ServiceError that may be retried when it must be waited for.
    Raises ConfigError when topics or rights are missing, ServiceError when Kafka does not answer.
    """
    spread = survey(place.cluster, roles)
    apps = [assemble(roads, place, role, spread, sink) for role in sorted(set(roles))]
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # says a hundred times a second that a broker is away; `post` says it
    own = bool(logging.root.handlers)  # who started us has said how it is logged
    work = Worker(*apps, loglevel="WARN", quiet=True, redirect_stdouts=False, override_logging=not own)
    work.spinner = None  # stdout is for results
    gc.freeze()  # as on the embedded road: batches go without the collector's help
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    work.execute_from_commandline()


def assemble(roads: Roads, place: Place, role: str, spread: Spread, sink: Sink | None) -> faust.App:
    """Make a role's app."""
    _, count = spread
    cluster = place.cluster
    app = _app(place, role)
    post = Post(app, cluster.topic("dead"), place.meter, role)
    if role == "classify":
        Classify(app, post, roads, cluster, count).register(place.idle_s)
    elif role == "detect":
        follow(app, post, Enrich(app, post, roads, cluster, count))
        follow(app, post, Detect(app, post, roads, cluster, spread))
        follow(app, post, Group(app, post, roads, cluster, count))
    elif role == LEG:
        recorder, shelf = _recorder(place, spread[0])
        Record(app, post, cluster, recorder, shelf.key_check).register()
    elif role == "respond" and place.responder is not None:
        Index(app, post, cluster, Way(place.responder.take, role)).register()
        look_after(app, place.responder)
    elif role == "notify" and place.notices is not None:
        Index(app, post, cluster, Way(_kept(place.notices), role, "the outbox", place.notices.since)).register()
    elif role == "index" and sink is not None:
        Index(app, post, cluster, Way(sink)).register()
    else:
        remedy = "write notify/ and XMSEC_NOTIFY_TARGETS" if role == "notify" else "set XMSEC_ES_URL"
        raise ConfigError(f"{role} has nowhere to write", where="worker", remedy=remedy)
    return app


def look_after(app: faust.App, responder: Responder) -> None:
    """Look again and again for runs whose holder died."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(responder.go_on)
            except ServiceError as error:
                log.warning("runs are not looked after: %s", error)

    app.task(look)


def _kept(notices: Notices) -> Sink:
    def keep(findings: Sequence[Finding], _: object, __: object) -> Mapping[str, str]:
        notices.put(findings)
        return {}

    return keep


def _recorder(place: Place, sources: Sequence[Source]) -> tuple[Recorder, Shelf]:
    shelf = place.recordings
    if shelf is None:
        raise ConfigError("record has nowhere to write", where="worker", remedy="set XMSEC_RECORDINGS")
    origin = Origin(topic_id(place.cluster, "tokened"), shelf.key_check(), sources)
    archive = Archive(shelf.place)
    threads = None if shelf.uses is None else Threads(archive, shelf.uses)
    return Recorder(archive, origin, seal_after=timedelta(seconds=shelf.seal_after_s), threads=threads), shelf


def _app(place: Place, role: str) -> faust.App:
    place.datadir.mkdir(parents=True, exist_ok=True)
    return faust.App(
        place.cluster.group(role),
        broker=";".join(f"kafka://{one}" for one in servers(place.cluster.bootstrap)),
        broker_credentials=credentials(place.cluster.access),
        store="memory://",
        datadir=str(place.datadir),
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,  # `topics ensure` makes them; a worker may not
        table_standby_replicas=0,
        stream_wait_empty=True,  # a frame in hand is finished before its partition goes to another worker
        broker_session_timeout=place.session_s,
        broker_heartbeat_interval=place.session_s / 4,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=frames.MESSAGE_BYTES,
        producer_max_request_size=frames.MESSAGE_BYTES,
        producer_max_batch_size=BATCH_BYTES,
    )
