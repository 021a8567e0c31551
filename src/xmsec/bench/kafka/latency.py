"""How long it takes from an event to its `open` finding in the index, where a search sees it, while a worker is at work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from xmsec.bench.kafka.load import STREAM, Lines, producing
from xmsec.bench.kafka.process import Process
from xmsec.bench.kafka.site import DETECTOR, PARTITIONS, Site, fresh, work
from xmsec.bench.kafka.speed import PATIENCE_S, TOGETHER, Say
from xmsec.bench.kafka.stages import Stage, stage, stages

EVERY = 100  # of so many events one is a probe, from a user that nobody else is
LOOK_S = 0.1
WAIT_S = 60.0  # for the last ones


class Latency(msgspec.Struct, frozen=True):
    """From sending to seeing, in seconds. found: of so many probes; resolved to a tenth of a second; stages: where it goes."""

    events_per_s: int
    probes: int
    found: int
    p50_s: float
    p99_s: float
    most_s: float
    stages: dict[str, Stage]


def latency(site: Site, events_per_s: int, seconds: float, say: Say) -> Latency:
    """Send at a steady pace, one event a message, and search again and again."""
    with fresh(site, "latency") as part, Process(work, 1 << 62, part, TOGETHER) as process:
        process.until(lambda said: said.ready, PATIENCE_S)
        say(f"time to a finding: {events_per_s} events/s for {seconds:.0f} s")
        sent, seen = _probed(part, events_per_s, seconds)
        parts = stages(part, sent, seen)
    taken = [seen[user] - at for user, at in sent.items() if user in seen]
    whole = stage(taken)
    return Latency(events_per_s, len(sent), len(taken), whole.p50_s, whole.p99_s, round(max(taken, default=0.0), 2), parts)


def _probed(site: Site, events_per_s: int, seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    with producing(site.cluster) as producer, site.connect() as client:
        for number, line in _paced(events_per_s, seconds):
            if number % EVERY == 0:
                sent[f"p{number}"] = time.time()
            producer.send(site.cluster.raw(STREAM), line, partition=number % PARTITIONS)
            if number % max(1, round(events_per_s * LOOK_S)) == 0:
                _look(client, site.prefix, seen)
        producer.flush()
        end_s = time.monotonic() + WAIT_S
        while len(seen) < len(sent) and time.monotonic() < end_s:
            _look(client, site.prefix, seen)
            time.sleep(LOOK_S)
    return sent, seen


def _paced(events_per_s: int, seconds: float) -> Iterator[tuple[int, bytes]]:
    lines = Lines(start=datetime.now(UTC), per_s=events_per_s)
    begun_s = time.monotonic()
    for number in range(round(events_per_s * seconds)):
        ahead_s = number / events_per_s - (time.monotonic() - begun_s)
        if ahead_s > 0:
            time.sleep(ahead_s)
        yield number, lines.probe(number) if number % EVERY == 0 else lines.line(number)


def _look(client: Any, prefix: str, seen: dict[str, float]) -> None:
    query = {"bool": {"filter": [{"term": {"detector": DETECTOR}}, {"term": {"state": "open"}}]}}
    found = client.search(index=f"{prefix}-findings", size=10_000, query=query, source_includes=["entity.id"])
    now_s = time.time()
    for hit in found["hits"]["hits"]:
        seen.setdefault(hit["_source"]["entity"]["id"], now_s)
