"""Events a second a worker, one event a message and many, beside what nobody can be faster than."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from xmsec.bench.clock import Taken
from xmsec.bench.kafka.limits import bulk, consume, pass_through
from xmsec.bench.kafka.load import Lines, messages, send
from xmsec.bench.kafka.process import Process
from xmsec.bench.kafka.site import PARTITIONS, Site, fresh, work

Say = Callable[[str], None]
PATIENCE_S = 900.0
MANY = 100  # lines a message, where producers send several
ENOUGH = 120_000  # of them: classify takes some 14,000 at a time, of which a fifth warms it and several must be left
DOCUMENTS = 20_000
APART: Sequence[Sequence[str]] = (("classify",), ("detect", "index"))
TOGETHER = ("classify", "detect", "index")


class Speed(msgspec.Struct, frozen=True):
    """How fast a process was. us: microseconds of processor an event (a message, a document)."""

    events_per_s: int
    events_per_cpu_s: int
    us: float


class Limits(msgspec.Struct, frozen=True):
    """What nobody can be faster than, at one event a message."""

    faust_pass_through: Speed
    consumer: Speed
    elasticsearch_bulk: Speed


def limits(site: Site, events: int, say: Say) -> Limits:
    """Measure the limits. elasticsearch_bulk's microseconds are the client's alone; its wall clock is the server's."""
    with fresh(site, "limits") as part:
        say(f"limits: {events} messages")
        send(part.cluster, messages(Lines().line, range(events), 1), PARTITIONS)
        with Process(pass_through, events, part) as process:
            passed = process.taken(PATIENCE_S)
        with Process(consume, events, part) as process:
            consumed = process.taken(PATIENCE_S)
    return Limits(speed(*passed), speed(*consumed), speed(bulk(site, DOCUMENTS), DOCUMENTS))


def workers(site: Site, events: int, each: int, say: Say) -> dict[str, Speed]:
    """Measure workers over a backlog: classify alone, detect and index alone, all three in one process."""
    events = max(events, ENOUGH) if each > 1 else events
    found: dict[str, Speed] = {}
    for name, roles in (("apart", APART), ("together", (TOGETHER,))):
        with fresh(site, f"{name}-{each}") as part:
            say(f"workers {name}: {events} events, {each} a message")
            send(part.cluster, messages(Lines().line, range(events), each), PARTITIONS)
            for some in roles:
                with Process(work, events, part, some) as process:
                    found["_".join(some)] = speed(*process.taken(PATIENCE_S))
    return found


def speed(taken: Taken, events: int) -> Speed:
    """Say how fast that was."""
    events = max(events, 1)
    wall_s, used_s = max(taken.wall_s, 1e-6), max(taken.used_s, 1e-6)
    return Speed(round(events / wall_s), round(events / used_s), round(used_s / events * 1e6, 1))
