"""A worker on the toys' road, as a process: `python -m tests.servers.toy_worker BOOTSTRAP PREFIX FOLDER [URL] ROLE…`.

Its login is that of the settings in its environment. What is indexed goes to the Elasticsearch at URL; without one it is
appended to indexed.jsonl beside FOLDER, by a store that is away for its first three requests. SIGQUIT makes it say where its
threads and tasks stand.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CoroutineType
from typing import Any

import msgspec
from elasticsearch import Elasticsearch
from tests import toys

from xmsec.cli.kafka import access
from xmsec.cli.settings import settings
from xmsec.model.errors import ServiceError
from xmsec.model.types import Finding, Incident, Intent
from xmsec.runtime.faust.agents import Sink
from xmsec.runtime.faust.app import Place, Shelf, worker
from xmsec.runtime.faust.roads import Roads
from xmsec.runtime.faust.topics import Cluster
from xmsec.store import elastic

STREAMS = ("toys.a", "toys.b")


def main(bootstrap: str, prefix: str, folder: Path, *more: str) -> None:
    signal.signal(signal.SIGQUIT, stand)
    urls, roles = [one for one in more if "://" in one], [one for one in more if one and "://" not in one]
    sink = to_elastic(urls[0], prefix) if urls else to_file(folder.parent / "indexed.jsonl")
    shelf = Shelf(str(folder / "recordings"), lambda: "toys", 3_600)
    place = Place(Cluster(bootstrap, STREAMS, prefix, access=access(settings())), folder / "faust", 3, 2, shelf)
    worker(Roads(toys.road), place, roles, sink)


def to_file(path: Path) -> Sink:
    away = iter(range(0 if path.exists() else 3))
    out = path.open("ab", buffering=0)
    if out.tell():
        out.write(b"\n")  # whoever wrote before may have been killed within a line; the new one must not stand in it

    def sink(findings: Sequence[Finding], incidents: Sequence[Incident], intents: Sequence[Intent]) -> Mapping[str, str]:
        if next(away, None) is not None:
            raise ServiceError("away")
        out.write(msgspec.json.encode([findings, incidents, intents]) + b"\n")
        return {}

    return sink


def to_elastic(url: str, prefix: str) -> Sink:
    client = Elasticsearch(url, max_retries=0)

    def sink(findings: Sequence[Finding], incidents: Sequence[Incident], _: Sequence[Intent]) -> Mapping[str, str]:
        return elastic.index(client, findings, incidents, prefix=prefix).refused

    return sink


def stand(*_: object) -> None:
    """Say where everything stands: each thread, and what each task of each loop awaits."""
    faulthandler.dump_traceback(all_threads=True)
    for loop in [one for one in gc.get_objects() if isinstance(one, asyncio.AbstractEventLoop)]:
        for task in asyncio.all_tasks(loop):
            awaits: Any = task.get_coro()
            waiting = []
            while isinstance(awaits, CoroutineType):
                waiting.append(f"{awaits.__qualname__}:{awaits.cr_frame.f_lineno if awaits.cr_frame else 0}")
                awaits = awaits.cr_await
            print(" → ".join(waiting), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
