"""`xmsec run`: the embedded service."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, example

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.model.types import Intent, Raw, Source, Tick
    from xmsec.sources.tail import Tail

EXAMPLE = example("XMSEC_CONTENT_DIRS=/etc/xmsec/content xmsec run --port 8470")
IDLE_POLL_S = 0.25  # how soon a new line is seen; a poll of idle files costs some 50 µs a file


def run(
    port: Annotated[int, typer.Option("--port", help="Where the API is served.", min=0, max=65535)] = 8470,
    home: Home = None,
) -> None:
    """Follow the files of all streams that name paths, and serve the API; the console comes in a later version.

    Playbooks that incidents ask for begin, and wait for approval. Ends at Ctrl-C or SIGTERM, its state saved.
    """
    from xmsec.cli.home import monotonic, now, opened
    from xmsec.cli.output import remark
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.embedded import Embedded, Witness
    from xmsec.runtime.service import Service
    from xmsec.runtime.summary import Tally
    from xmsec.sources.records import cut_of
    from xmsec.sources.tail import Tail
    from xmsec.store.recording import ENTRY, Recording

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with opened(home, write=True) as here:
        streams = [stream for stream in here.deployment.streams.values() if stream.paths]
        if not streams:
            raise ConfigError(
                "no stream names paths", where="streams/", remedy="add a stream file with paths to XMSEC_CONTENT_DIRS"
            )
        tails = [
            Tail(one.id, one.paths, timedelta(seconds=one.idle_s), here.store.positions(one.id), cut_of(one.lines))
            for one in streams
        ]
        recording = Recording(here.recordings, here.store.meta().get(ENTRY), here.key_check)
        witnesses: list[Witness] = [Tally(here.store.meta()), recording]
        embedded = Embedded(here.deployment.road, here.store, witnesses, monotonic)
        with Service(here.settings.home / "store.sqlite", here.settings.host, port) as service:
            remark(f"ready {service.url}")
            try:
                for _ in embedded.drive(_polled(here, tails, now)):
                    _begin(here)
            finally:
                for tail in tails:
                    tail.close()


def _polled(here: Opened, tails: Sequence[Tail], now: Any) -> Iterator[Sequence[Raw | Tick]]:
    """Yield what is new, one partition a batch; an empty batch while nothing is, so that what waits is committed."""
    from xmsec.model.types import Tick

    def source(record: Raw | Tick) -> Source:
        return record.source if isinstance(record, Tick) else record.position.source

    while True:
        busy = False
        for tail in tails:
            for _, batch in groupby(tail.poll(now()), key=source):
                busy = True
                yield list(batch)
            if tail.problems:
                here.store.reject(tail.problems)
                tail.problems.clear()
        if not busy:
            yield ()
            time.sleep(IDLE_POLL_S)


def _begin(here: Opened) -> None:
    """Begin a run for each intent that has none; who carries out playbooks at this moment is not waited for."""
    from xmsec.model.errors import ConfigError
    from xmsec.store.lock import PLAYBOOKS, HomeLock

    begun = {*here.runs.runs()}
    wished = [intent for intent in here.store.intents() if intent.id not in begun]
    if not wished:
        return
    try:
        lock = HomeLock(here.settings.home, PLAYBOOKS)
    except ConfigError:
        return  # the next commit asks again
    with lock:
        for intent in wished:
            _start(here, intent)


def _start(here: Opened, intent: Intent) -> None:
    """Begin one run; it goes on until a person is needed."""
    from xmsec.cli.output import remark
    from xmsec.model.errors import XmsecError
    from xmsec.respond.connectors import every_connector
    from xmsec.respond.drive import Driver

    playbook = here.deployment.playbooks.get(intent.playbook)
    if playbook is None:
        return
    driver = Driver(playbook, here.incident(intent.incident), here.runs, every_connector(), "xmsec")
    driver.start(intent.id)
    try:
        driver.carry(intent.id)
    except XmsecError as error:
        remark(f"xmsec: {error}")
