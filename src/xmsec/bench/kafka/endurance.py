"""What a worker does over time: it comes back to its states, ends whenever it is told to, and does not grow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from xmsec.bench.kafka.load import PER_S, START, Lines, fill, messages, send
from xmsec.bench.kafka.process import Process, Said
from xmsec.bench.kafka.site import PARTITIONS, Site, fresh, work
from xmsec.bench.kafka.speed import MANY, PATIENCE_S, TOGETHER, Say
from xmsec.bench.kafka.weight import REGISTERS, Weighed, Weight
from xmsec.model.clock import HOUR
from xmsec.model.ports import Held
from xmsec.model.types import Clock, Key
from xmsec.runtime.faust import frames, hops
from xmsec.runtime.faust.batches import Parcel
from xmsec.runtime.faust.share import Heard, Share
from xmsec.runtime.faust.talk import admin
from xmsec.runtime.faust.topics import HOUR_MS, Cluster
from xmsec.runtime.releases import owner_of

STEPS = 8  # of a long run, at which memory is looked at
SPREAD_PER_S = 100  # events in a second of event time: windows close while memory is watched
END = START + HOUR * 24 * 365  # until when a state that is recovered matters


class Recovery(msgspec.Struct, frozen=True):
    """A worker that starts on what others left. records: in the changelog, of so many keys; s: until it took an event."""

    keys: int
    records: int
    state_bytes: int
    s: float
    used_s: float
    records_per_s: int
    rss_bytes: int


class Restarts(msgspec.Struct, frozen=True):
    """Workers of all roles, started and told to end, one after the other while records wait for them."""

    times: int
    hung: int
    longest_start_s: float
    longest_end_s: float


class Growth(msgspec.Struct, frozen=True):
    """Resident memory over a long run. rss_bytes: when each further eighth of the events was done."""

    events: int
    rss_bytes: list[int]
    second_half_bytes_per_event: float


def recovery(site: Site, keys: int, copies: int, say: Say) -> Recovery:
    """Fill the states' changelog with rows of so many keys, each written `copies` times, and start a worker on them."""
    with fresh(site, f"recovery-{copies}") as part:
        say(f"recovery: {keys} keys, {copies} records each")
        _keep_all(part.cluster)
        for copy in range(copies):
            fill(part.cluster, rows(part.cluster, keys, copy))
        send(part.cluster, messages(Lines().line, range(MANY), 1), PARTITIONS)
        with Process(work, MANY, part, TOGETHER) as process:
            said = process.until(lambda one: one.done > 0, PATIENCE_S)
        seconds = said.now.at_s - process.started_s
        return Recovery(
            keys,
            keys * copies,
            REGISTERS,
            round(seconds, 1),
            round(said.now.used_s, 1),
            round(keys * copies / seconds),
            said.rss_bytes,
        )


def _keep_all(cluster: Cluster) -> None:
    """Keep the broker from compacting what is to be read."""
    from kafka.admin import ConfigResource, ConfigResourceType

    changelog = cluster.changelog("states")
    with admin(cluster.bootstrap, cluster.access) as client:
        kept = {"min.compaction.lag.ms": str(24 * HOUR_MS)}
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, changelog, kept)])


def rows(cluster: Cluster, keys: int, copy: int) -> Iterator[Parcel]:
    """Yield the rows of so many keys, as detect writes them."""
    topic, owner = cluster.changelog("states"), owner_of(Weight())
    held = Held(Weighed(copy + 1, END, bytes(REGISTERS)), END)
    for number in range(keys):
        key = Key("subject", f"⟨CN_RESIDENT_ID:{number:016x}⟩")
        share = Share(frames.partition_of_key(key, PARTITIONS), hops.NOTHING, {})
        share.take_in(("", "bench"), Heard(-1, Clock()), {(owner, key): held}, -1)
        name, value = share.pending()[0]  # behind it stands the clock
        yield Parcel((topic, share.number), name, value)


def restarts(site: Site, times: int, say: Say) -> Restarts:
    """Start a worker, let it take some events, tell it to end, again and again."""
    starts, ends = [0.0], [0.0]
    with fresh(site, "restarts") as part:
        for turn in range(times):
            say(f"restart {turn + 1} of {times}")
            send(part.cluster, messages(Lines().line, range(turn * PER_S, (turn + 1) * PER_S), MANY), PARTITIONS)
            process = Process(work, PER_S, part, TOGETHER)
            said = process.until(lambda one: one.done > 0, PATIENCE_S)
            starts.append(said.now.at_s - process.started_s)
            ends.append(process.end())
    return Restarts(times, 0, round(max(starts), 1), round(max(ends), 1))


def growth(site: Site, events: int, say: Say) -> Growth:
    """Send an eighth, let it be done, look; and again."""
    rss: list[int] = []
    lines = Lines(per_s=SPREAD_PER_S)
    with fresh(site, "growth") as part, Process(work, events, part, TOGETHER) as process:
        for step in range(STEPS):
            first, last = events * step // STEPS, events * (step + 1) // STEPS
            send(part.cluster, messages(lines.line, range(first, last), MANY), PARTITIONS)
            said = process.until(partial(_is_done, last), PATIENCE_S)
            rss.append(said.rss_bytes)
            say(f"memory: {last} events, {said.rss_bytes >> 20} MiB")
    half = STEPS // 2
    grown = (rss[-1] - rss[half - 1]) / (events - events * half // STEPS)
    return Growth(events, rss, round(grown, 2))


def _is_done(events: int, said: Said) -> bool:
    return said.done >= events
