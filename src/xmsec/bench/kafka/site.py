"""Where a bench works: topics and indices of its own, made before and deleted after, and what its processes are given."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from xmsec.bench.indices import Connect
from xmsec.bench.kafka.load import STREAM
from xmsec.bench.kafka.weight import Weighed, Weight
from xmsec.bench.road import KEY
from xmsec.model.types import Context, Finding, Incident, Intent, Key, Parsed
from xmsec.pipeline.road import Road, Tokened
from xmsec.runtime.assemble import assemble
from xmsec.runtime.faust.talk import admin
from xmsec.runtime.faust.topics import Cluster, ensure

if TYPE_CHECKING:
    from xmsec.bench.kafka.process import Gauge

CONTENT = Path(__file__).parent / "content"
PARTITIONS = 4
DETECTOR = "bench-probe"
WRITTEN = "written"  # a file in a part's folder: when the index had findings of which probes


class Site(msgspec.Struct, frozen=True):
    """One bench's place. connect: to Elasticsearch; folder: what its processes keep; dirs: content; prefix: of its indices."""

    cluster: Cluster
    connect: Connect
    prefix: str
    folder: Path
    dirs: Sequence[Path]
    zone: tzinfo


@contextmanager
def fresh(site: Site, name: str) -> Iterator[Site]:
    """Make a part of a site with topics of its own, and delete them at the end."""
    cluster = msgspec.structs.replace(site.cluster, prefix=f"{site.cluster.prefix}-{name}", streams=(STREAM,))
    part = msgspec.structs.replace(site, cluster=cluster, folder=site.folder / name)
    part.folder.mkdir()
    (part.folder / "cache").symlink_to(site.folder / "cache")
    ensure(cluster, PARTITIONS)
    try:
        yield part
    finally:
        with admin(cluster.bootstrap, cluster.access) as client:
            client.delete_topics(cluster.topics)


def work(gauge: Gauge, site: Site, roles: Sequence[str]) -> None:
    """Be a worker of these roles over the shipped content and a heavy detector; ends the process."""
    from xmsec.runtime.faust.app import Place, worker
    from xmsec.runtime.faust.meter import Meter
    from xmsec.runtime.faust.roads import Roads
    from xmsec.store.elastic import index

    meter = Meter()
    gauge.ready = lambda: len(meter.apps) == len(roles) and not meter.problems()
    road = _watched(assemble(site.dirs, site.folder, KEY, site.zone).road, gauge, "detect" in roles)

    def write(findings: Sequence[Finding], incidents: Sequence[Incident], _: Sequence[Intent]) -> Mapping[str, str]:
        refused = index(client, findings, incidents, prefix=site.prefix).refused
        note(site.folder, {finding.entity.id for finding in findings if finding.detector == DETECTOR})
        return refused

    with site.connect() as client:
        worker(
            Roads(lambda: road),
            Place(site.cluster, site.folder / "faust", meter=meter),
            roles,
            write,
        )


def note(folder: Path, probes: Collection[str]) -> None:
    """Note when the index had what was said of these."""
    if probes:
        with (folder / WRITTEN).open("ab") as file:
            file.write(msgspec.json.encode((time.time(), sorted(probes))) + b"\n")


def noted(folder: Path) -> dict[str, float]:
    """Return when the index first had something of each probe."""
    moments: dict[str, float] = {}
    path = folder / WRITTEN
    for line in path.read_bytes().splitlines() if path.exists() else ():
        moment_s, probes = msgspec.json.decode(line, type=tuple[float, list[str]])
        for probe in probes:
            moments.setdefault(probe, moment_s)
    return moments


def _watched(road: Road, gauge: Gauge, detects: bool) -> Road:
    """Return a road that tells how far it is: by what detectors saw, or else by what was classified."""

    def classify(batch: Sequence[Parsed]) -> Sequence[Tokened]:
        found = road.classify(batch)
        if not detects:
            gauge.count(len(batch))
        return found

    weight = _Counted(gauge)
    detectors = {**road.detectors, weight.id: weight}
    return msgspec.structs.replace(road, classify=classify, detectors=detectors)


class _Counted(Weight):
    """The heavy detector; every event has one key of a stream, by which it is counted."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge

    def step(
        self, states: Mapping[Key, Weighed], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Weighed], Sequence[Finding]]:
        """Count, and weigh."""
        self._gauge.count(sum(key.kind == "stream" for key, _ in batch))
        return super().step(states, batch)
