"""Everything that is measured on Kafka and Elasticsearch, one after the other, on topics and indices of the bench's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path
from platform import machine, python_version
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from xmsec.bench.indices import Connect, indices
from xmsec.bench.kafka.endurance import growth, recovery, restarts
from xmsec.bench.kafka.latency import latency
from xmsec.bench.kafka.site import CONTENT, Site
from xmsec.bench.kafka.speed import MANY, Say, limits, workers
from xmsec.bench.road import KEY
from xmsec.classify.token import check_value
from xmsec.runtime.faust.topics import Cluster

LATENCY_S = 20.0
COPIES = (1, 3)  # records a key: as after compaction, and before


class Asked(msgspec.Struct, frozen=True):
    """How much is measured; 0 leaves a part out. at_pace_s: how long the time to a finding is looked at."""

    events: int
    keys: int
    restarts: int
    memory_events: int
    at_pace_s: float = LATENCY_S


class Given(msgspec.Struct, frozen=True):
    """Where it is measured."""

    cluster: Cluster
    connect: Connect
    dirs: Sequence[Path]
    zone: tzinfo
    cache: Path


def kafka(given: Given, asked: Asked, say: Say) -> dict[str, Any]:
    """Measure what was asked for."""
    found: dict[str, Any] = {}
    name = f"xmsec-bench-{token_hex(4)}"
    with TemporaryDirectory(prefix="xmsec-bench-") as folder:
        given.cache.mkdir(parents=True, exist_ok=True)
        (Path(folder) / "cache").symlink_to(given.cache.resolve())
        cluster = msgspec.structs.replace(given.cluster, prefix=name, framing={})
        site = Site(cluster, given.connect, name, Path(folder), (*given.dirs, CONTENT), given.zone)
        with indices(site.connect, check_value(KEY), name):
            if asked.events:
                found |= _speeds(site, asked, say)
            if asked.keys:
                found["recovery"] = [recovery(site, asked.keys, copies, say) for copies in COPIES]
            if asked.restarts:
                found["restarts"] = restarts(site, asked.restarts, say)
            if asked.memory_events:
                found["memory"] = growth(site, asked.memory_events, say)
    found["machine"] = {"processor": machine(), "cores": os.cpu_count(), "load": os.getloadavg(), "python": python_version()}
    return found


def _speeds(site: Site, asked: Asked, say: Say) -> dict[str, Any]:
    raw = limits(site, asked.events, say)
    one, many = (workers(site, asked.events, each, say) for each in (1, MANY))
    half = max(1, one["classify_detect_index"].events_per_s // 2)
    ratios = {name: round(raw.faust_pass_through.us / speed.us, 2) for name, speed in one.items()}
    return {
        "limits": raw,
        "one_a_message": one,
        "faust_ratio": ratios,
        "many_a_message": many,
        "open_finding": latency(site, half, asked.at_pace_s, say),
    }
