"""What it costs to take records in over HTTP: alone, and the road behind it beside the same road over a file.

A process of its own sends; only what this process uses is counted.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, tzinfo
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from xmsec.bench.clock import Taken, timed
from xmsec.bench.pipeline import Asked, Say, deployed
from xmsec.bench.road import KEY, rig, whole
from xmsec.bench.traffic import MIXES, STREAM, lines, write
from xmsec.model.types import Raw, Tick
from xmsec.runtime.assemble import Deployment
from xmsec.runtime.embedded import Embedded, Witness
from xmsec.runtime.network import Clocked, Doors, Limits, Network, network
from xmsec.runtime.service import Address, Service
from xmsec.runtime.summary import Tally
from xmsec.runtime.vitals import Vitals
from xmsec.store.counted import recording_into

TOKEN = "of-a-bench"
BODY_RECORDS = 1_000
SENDERS = 4
POLL_S = 0.001
KINDS = ("text", "ndjson", "ndjson_gzip")
_HEADERS = {
    "text": {"Content-Type": "text/plain"},
    "ndjson": {"Content-Type": "application/x-ndjson"},
    "ndjson_gzip": {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
}
_CLIENT = """
import http.client, json, pathlib, sys, threading, urllib.parse
url, headers, folder, senders = sys.argv[1], json.loads(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
place = urllib.parse.urlsplit(url)
waiting = iter([path.read_bytes() for path in sorted(folder.iterdir())])
lock = threading.Lock()
def send():
    connection = http.client.HTTPConnection(place.netloc, timeout=60)
    while True:
        with lock:
            body = next(waiting, None)
        if body is None:
            return
        while True:
            connection.request("POST", place.path, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 202:
                break
            if answer.status != 429:
                sys.exit(f"answered {answer.status}")
threads = [threading.Thread(target=send) for _ in range(senders)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


class Cost(msgspec.Struct, frozen=True):
    """What a way costs. us: microseconds of processor an event."""

    events_per_s: int
    events_per_cpu_s: int
    us: float


def network_costs(dirs: Sequence[Path], cache: Path, zone: tzinfo, asked: Asked, say: Say) -> dict[str, Any]:
    """Measure the real log: the road over a file, the road over HTTP, and what each kind of body costs until it can be read."""
    found: dict[str, Any] = {}
    with deployed(dirs, cache, zone) as (deployment, folder):
        path = folder / "real.log"
        write(path, lines(MIXES[0], asked.events))
        say(f"road over a file: {asked.events} events, {asked.runs} runs after one")
        whole(deployment, path)
        found["road_over_a_file"] = _cost(min(whole(deployment, path) for _ in range(asked.runs)), asked.events)
        for kind in KINDS:
            _write_bodies(folder / kind, kind, asked.events)
        say("road over HTTP")
        over_http = [_over_http(deployment, folder, "text", asked.events, road=True) for _ in range(asked.runs)]
        found["road_over_http"] = _cost(min(over_http), asked.events)
        for kind in KINDS:
            say(f"intake of {kind}")
            alone = [_over_http(deployment, folder, kind, asked.events, road=False) for _ in range(asked.runs)]
            found[f"intake_{kind}"] = _cost(min(alone), asked.events)
    return found


def _cost(taken: Taken, events: int) -> Cost:
    return Cost(round(events / taken.wall_s), round(events / taken.used_s), round(taken.used_s / events * 1e6, 2))


def _write_bodies(folder: Path, kind: str, events: int) -> None:
    folder.mkdir()
    found = lines(MIXES[0], events)
    for number in range(0, events, BODY_RECORDS):
        some = list(islice(found, BODY_RECORDS))
        if kind != "text":
            some = [json.dumps({"message": one.decode("utf-8", "replace"), "source_type": "file"}).encode() for one in some]
        body = b"\n".join(some) + b"\n"
        (folder / f"{number:09}").write_bytes(gzip.compress(body, 6) if kind.endswith("gzip") else body)


def _over_http(deployment: Deployment, folder: Path, kind: str, events: int, *, road: bool) -> Taken:
    with rig(deployment) as into, _served(deployment, into.recordings.parent) as (net, url):
        given = json.dumps({**_HEADERS[kind], "Authorization": f"Bearer {TOKEN}"})
        command = [sys.executable, "-c", _CLIENT, url, given, str(folder / kind), str(SENDERS)]
        drive: Callable[[Iterator[Sequence[Raw | Tick]]], Any] = iter
        if road:
            into.store.sync_commits()
            witnesses: list[Witness] = [Tally({}), recording_into(into.store, into.recordings, into.key_check)]
            drive = Embedded(deployment.road, into.store, witnesses, time.monotonic).drive

        def work() -> None:
            with subprocess.Popen(command) as client:
                for _ in drive(_until(net, events)):
                    net.arrivals.settle()
            if client.returncode:
                raise RuntimeError("the sender failed")

        return timed(work)


def _until(net: Network, events: int) -> Iterator[Sequence[Raw | Tick]]:
    """Yield what arrives until it is as much as is sent."""
    while events > 0:
        quiet = True
        for batch in net.arrivals.batches(_now()):
            quiet = False
            events -= sum(isinstance(one, Raw) for one in batch)
            yield batch
        if quiet:
            yield ()
            time.sleep(POLL_S)


@contextmanager
def _served(deployment: Deployment, folder: Path) -> Iterator[tuple[Network, str]]:
    tokens = folder / "tokens"
    tokens.write_text(f"bench {sha256(TOKEN.encode()).hexdigest()} *\n")
    path = folder / "store.sqlite"
    limits = Limits(folder / "spool", 256 << 20, timedelta(hours=1))
    with (
        network(deployment.streams, {}, limits, Doors(None, tokens), Clocked(_now, KEY)) as net,
        Service(path, Address("127.0.0.1", 0), Vitals(path, UTC, {}), net.intake) as service,
    ):
        yield net, f"{service.url}/api/events/{STREAM}"


def _now() -> datetime:
    return datetime.now(UTC)
