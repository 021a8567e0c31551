"""`xmsec run`: the embedded service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, example

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.content.streams import Stream
    from xmsec.model.types import Raw, Source, Tick
    from xmsec.runtime.courier import Courier
    from xmsec.runtime.embedded import Embedded
    from xmsec.runtime.network import Network
    from xmsec.runtime.responder import Responder
    from xmsec.runtime.vitals import Vitals
    from xmsec.sources.tail import Tail

EXAMPLE = example("XMSEC_CONTENT_DIRS=/etc/xmsec/content xmsec run --port 8470")
IDLE_POLL_S = 0.25  # how soon a new line is seen; a poll of idle files costs some 50 µs a file


def run(
    port: Annotated[int, typer.Option("--port", help="Where console and API are served.", min=0, max=65535)] = 8470,
    home: Home = None,
) -> None:
    """Follow the files of all streams that name paths, listen where streams say, take records in, serve console and API.

    At the first start a one-time link is printed by which the first administrator is made.

    Findings are told where notify/ says. Playbooks that incidents ask for begin, and wait for approval.

    Ends at Ctrl-C or SIGTERM, its state saved.
    """
    from xmsec.cli import deliveries
    from xmsec.cli.home import monotonic, opened
    from xmsec.cli.logs import begin
    from xmsec.cli.output import remark
    from xmsec.cli.rooms import embedded_rooms
    from xmsec.runtime.embedded import Embedded, Witness
    from xmsec.runtime.service import Address, Service
    from xmsec.runtime.summary import Tally
    from xmsec.sources.records import cut_of
    from xmsec.sources.tail import Tail
    from xmsec.store.counted import recording_into

    begin()
    with opened(home, write=True) as here:
        streams = _followed(here)
        tails = [
            Tail(one.id, one.paths, timedelta(seconds=one.idle_s), here.store.positions(one.id), cut_of(one.lines))
            for one in streams
        ]
        recording = recording_into(here.store, here.recordings, here.key_check)
        witnesses: list[Witness] = [Tally(here.store.meta()), recording]
        embedded = Embedded(here.deployment.road, here.store, witnesses, monotonic)
        path, responder = here.settings.store_path, _responder(here)
        at = Address(here.settings.host, port)
        with (
            deliveries.embedded(here.settings) as courier,
            _network(here) as net,
            nullcontext(_vitals(here, streams, tails, courier)) as vitals,
            embedded_rooms(here.settings, partial(_lag, tails), partial(_wrong, here, vitals)) as rooms,
            Service(path, at, vitals, net.intake, rooms.routes) as service,
            rooms.open(),
        ):
            for address in net.bound:
                remark(f"listening {address} {address.stream}")
            remark(f"ready {service.url}")
            if link := rooms.invitation(service.url):
                remark(f"first administrator, once · 首位管理员（一次有效）: {link}")
            try:
                for _ in embedded.drive(_polled(here, tails, net, _following(here, embedded))):
                    net.arrivals.settle()
                    _begin(here, responder)
            finally:
                for tail in tails:
                    tail.close()


def _followed(here: Opened) -> Sequence[Stream]:
    """Return the streams that name paths. Raises ConfigError when nothing could ever come."""
    from xmsec.model.errors import ConfigError

    every = here.deployment.streams.values()
    followed = [stream for stream in every if stream.paths]
    if not followed and here.settings.ingest_tokens is None and not any(map(_listens, every)):
        raise ConfigError(
            "no stream names paths, none listens, nobody may send",
            where="streams/",
            remedy="add a stream file with paths or listen to XMSEC_CONTENT_DIRS, or name XMSEC_INGEST_TOKENS",
        )
    return followed


def _vitals(here: Opened, streams: Sequence[Stream], tails: Sequence[Tail], courier: Courier) -> Vitals:
    """Make what watches the service: its store, its lag, and whether its files can be read."""
    from xmsec.runtime.vitals import Vitals
    from xmsec.sources.readable import unreadable

    return Vitals(
        here.settings.store_path,
        here.settings.zone,
        here.budgets,
        lag=partial(_lag, tails),
        unreadable=lambda: [f"{one.id}: {wrong}" for one in streams for wrong in unreadable(one.paths)],
        more=courier.metrics,
    )


def _lag(tails: Sequence[Tail]) -> Mapping[tuple[str, ...], float]:
    return {place: count for tail in tails for place, count in tail.lag().items()}


def _wrong(here: Opened, vitals: Vitals) -> Sequence[str]:
    """Say why the service is not ready, what of the content did not load, and which models are missing."""
    return [*vitals.problems(), *map(str, here.deployment.problems), *here.deployment.missing]


def _listens(stream: Stream) -> bool:
    return bool(stream.listen)


def _network(here: Opened) -> AbstractContextManager[Network]:
    """Open the sources over the network."""
    from xmsec.cli.home import now
    from xmsec.runtime.network import Clocked, Doors, Limits, network
    from xmsec.sources.listen import Certificate

    given = here.settings
    here.store.sync_commits()
    certificate = Certificate(given.tls_cert, given.tls_key, given.tls_client_ca) if given.tls_cert is not None else None
    limits = Limits(given.home / "spool", given.spool_mb << 20, timedelta(hours=given.spool_hours))
    doors = Doors(certificate, given.ingest_tokens)
    return network(here.deployment.streams, here.store.states().clocks, limits, doors, Clocked(now, here.keyring.marks(now())))


def _polled(here: Opened, tails: Sequence[Tail], net: Network, follow: Callable[[], None]) -> Iterator[Sequence[Raw | Tick]]:
    """Yield what is new, one partition a batch; an empty batch while nothing is, so that what waits is committed."""
    from xmsec.cli.home import now
    from xmsec.model.types import Tick

    def source(record: Raw | Tick) -> Source:
        return record.source if isinstance(record, Tick) else record.position.source

    while True:
        busy = False
        follow()
        for tail in tails:
            for _, batch in groupby(tail.poll(now()), key=source):
                busy = True
                yield list(batch)
            if tail.problems:
                here.store.reject(tail.problems)
                tail.problems.clear()
        for arrived in net.arrivals.batches(now()):
            busy = True
            yield arrived
        if lost := net.problems(now()):
            here.store.reject(lost)
        if not busy:
            yield ()
            time.sleep(IDLE_POLL_S)


def _following(here: Opened, embedded: Embedded) -> Callable[[], None]:
    """Return what takes exceptions up when somebody wrote one."""
    from xmsec.cli.home import content_dirs
    from xmsec.runtime.assemble import excepted
    from xmsec.runtime.exceptions import watch

    written = watch(here.settings.home)

    def follow() -> None:
        if written():
            embedded.follow(excepted(here.deployment.road, content_dirs(here.settings), here.settings.home, here.settings.zone))

    return follow


def _begin(here: Opened, responder: Responder) -> None:
    """Begin a run for each intent that has none; who carries out playbooks at this moment is not waited for."""
    begun = {*here.runs.runs()}
    for intent in here.store.intents():
        if intent.id not in begun:
            responder.begin(intent, here.incident(intent.incident))


def _responder(here: Opened) -> Responder:
    from xmsec.cli.output import remark
    from xmsec.respond.connectors import every_connector
    from xmsec.runtime.responder import Responder

    return Responder(here.deployment.playbooks, here.runs, every_connector(), lambda error: remark(f"xmsec: {error}"))
