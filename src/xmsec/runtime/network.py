"""Sources over the network, assembled: a journal in the home, who writes into it, and who reads it as records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import msgspec

from xmsec.content.streams import Stream, listened
from xmsec.model.errors import ConfigError
from xmsec.model.types import Clock, Position, Rejected, Source
from xmsec.runtime.intake import Intake
from xmsec.runtime.tokens import Tokens
from xmsec.sources.arrivals import Arrivals
from xmsec.sources.inlet import Inlet
from xmsec.sources.listen import Address, Certificate, Listener, Scheme
from xmsec.sources.seen import Seen
from xmsec.sources.spool import PARTITION, Spool

IDLE_S = 10  # of a stream that content no longer has
LOOK_S = 1.0  # how often the kernel is asked what it dropped


class Limits(msgspec.Struct, frozen=True):
    """Where the journal lies, how much lies there at most, and how long what was never read."""

    folder: Path
    bytes: int
    age: timedelta


class Doors(msgspec.Struct, frozen=True):
    """Who may come in: what TLS shows, the file of tokens."""

    certificate: Certificate | None
    tokens: Path | None


class Network:
    """All network sources of a running deployment. arrivals: the records; intake: for the API; bound: where it listens."""

    def __init__(self, arrivals: Arrivals, intake: Intake, listener: Listener, spool: Spool) -> None:
        self.arrivals, self.intake, self.bound = arrivals, intake, listener.bound
        self._listener, self._spool = listener, spool
        self._looked: datetime | None = None

    def problems(self, now: datetime) -> Sequence[Rejected]:
        """Say what was lost since this was last asked, as dead letters of the source."""
        if self._looked is not None and now - self._looked < timedelta(seconds=LOOK_S):
            return ()
        first, self._looked = self._looked is None, now
        found: list[Rejected] = []
        if first:
            found += [_lost(stream, 0, "spool-expired", now) for stream in self._spool.stale]
            found += [_lost("", end, "damaged-spool", now) for end in self._spool.damaged]
        moment = int(now.timestamp())  # tells one loss from the next
        return [*found, *(_lost(address.stream, moment, "datagrams-dropped", now) for address, _ in self._listener.dropped())]


def _lost(stream: str, place: int, reason: str, now: datetime) -> Rejected:
    return Rejected(Position(stream, PARTITION, place), "source", reason, now)


@contextmanager
def network(
    streams: Mapping[str, Stream], clocks: Mapping[Source, Clock], limits: Limits, doors: Doors, clock: Clocked
) -> Iterator[Network]:
    """Open the network sources of streams. Raises ConfigError for an address, certificate or file of tokens that is wrong."""
    begun = {stream: one.offset for (stream, partition), one in clocks.items() if partition == PARTITION}
    now = clock.now()
    addresses = addresses_of(streams)
    if doors.certificate is None and any(one.scheme == "tls" for one in addresses):
        raise ConfigError("a stream listens with TLS", where="XMSEC_TLS_CERT", remedy="name a certificate, and its key")
    tokens = Tokens(doors.tokens)
    spool = Spool(limits.folder, max(begun.values(), default=-1) + 1, now - limits.age)
    try:
        seen = Seen(limits.folder)
        seen.add(spool.marks)
        arrivals = Arrivals(spool, seen, _idle(streams), dict.fromkeys(begun, now))
        with Inlet(spool, seen, limits.bytes) as inlet, Listener(addresses, doors.certificate, inlet, clock.now) as listener:
            yield Network(arrivals, Intake(inlet, tokens, streams, clock.key, clock.now), listener, spool)
    finally:
        spool.close()


class Clocked(msgspec.Struct, frozen=True):
    """The edge's clock, and the key of the marks by which a repetition is known."""

    now: Callable[[], datetime]
    key: bytes

    def __repr__(self) -> str:
        return "Clocked()"


def addresses_of(streams: Mapping[str, Stream]) -> Sequence[Address]:
    """Return where streams listen. Raises ConfigError when two want the same address."""
    found: dict[tuple[str, str, int], Address] = {}
    for stream in streams.values():
        for text in stream.listen:
            place = listened(text)
            assert place is not None  # content was checked
            scheme, host, port = place
            bound = ("udp" if scheme == "udp" else "tcp", host, port)
            if port and bound in found:
                what = f"streams {found[bound].stream} and {stream.id} listen at the same address"
                raise ConfigError(what, where=text, remedy="give each its own port")
            found[bound if port else (text, stream.id, len(found))] = Address(stream.id, cast(Scheme, scheme), host, port)
    return list(found.values())


def _idle(streams: Mapping[str, Stream]) -> Callable[[str], timedelta]:
    return lambda name: timedelta(seconds=streams[name].idle_s if name in streams else IDLE_S)
