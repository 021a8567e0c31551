"""A deployment's destinations with their addresses: what `run`, `worker notify` and `xmsec notify` deliver by."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xmsec.cli.settings import Settings
    from xmsec.content.notify import Destination
    from xmsec.notify.target import Target
    from xmsec.runtime.courier import Courier, Edge, Route
    from xmsec.runtime.faust.app import Notices


def destinations_of(given: Settings) -> dict[str, Destination]:
    """Return the destinations that are enabled; what does not load is named on stderr."""
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import remark
    from xmsec.content.notify import load_destinations

    found, problems = load_destinations(content_dirs(given))
    for problem in problems:
        remark(f"xmsec: {problem}")
    return found


def targets(given: Settings) -> Mapping[str, Target]:
    """Read addresses and secrets. Raises ConfigError, which quotes none of them."""
    import tomllib

    from xmsec.cli.secret import private
    from xmsec.notify.target import targets_of

    path = given.notify_targets
    if path is None:
        return {}
    try:
        body = tomllib.loads(private(path))
    except tomllib.TOMLDecodeError:
        raise ConfigError("not TOML", where=str(path), remedy="see docs/notify.md") from None  # the error quotes the line
    return targets_of(body, str(path))


def route(given: Settings, destination: Destination, known: Mapping[str, Target]) -> Route:
    """Return what carries to a destination. Raises ConfigError when its address is missing or does not fit."""
    from xmsec.notify.send import Us, carrier
    from xmsec.runtime.courier import Route

    target = known.get(destination.target)
    if target is None:
        where = f"XMSEC_NOTIFY_TARGETS={given.notify_targets or ''}"
        remedy = f"write section [{destination.target}] there"
        raise ConfigError(f"destination {destination.id} has no address", where=where, remedy=remedy)
    us = Us(version("xmsec"), socket.gethostname(), given.zone)
    made = carrier(destination, target, us)
    return Route(destination, made.carry, made.close)


def routes(given: Settings) -> list[Route]:
    """Return all that can be delivered to; what cannot is named on stderr, and stops no other."""
    from xmsec.cli.output import remark

    found: list[Route] = []
    wanted = destinations_of(given)
    try:
        known = targets(given) if wanted else {}
    except ConfigError as error:
        remark(f"xmsec: nothing is delivered: {error}")
        return []
    for destination in wanted.values():
        try:
            found.append(route(given, destination, known))
        except ConfigError as error:
            remark(f"xmsec: {error}")
    return found


def edge(given: Settings) -> Edge:
    """Return what deliveries are given from outside."""
    from xmsec.cli.home import now
    from xmsec.runtime.courier import Edge
    from xmsec.store.lock import DELIVERIES, HomeLock

    return Edge(now, given.zone, lambda: HomeLock(given.home, DELIVERIES))


@contextmanager
def embedded(given: Settings) -> Iterator[Courier]:
    """Deliver what a home's store tells."""
    from xmsec.runtime.courier import Courier
    from xmsec.store.feed import StoreFeed
    from xmsec.store.outbox import Outbox

    outbox, feed = Outbox(given.home), StoreFeed(given.store_path)
    try:
        with Courier(routes(given), feed, outbox, edge(given)) as courier:
            yield courier
    finally:
        feed.close()
        outbox.close()


@contextmanager
def production(given: Settings) -> Iterator[tuple[Courier, Notices]]:
    """Deliver what a worker takes from Kafka, by way of its home's outbox. Raises ConfigError when there is nowhere to."""
    from xmsec.runtime.courier import Courier
    from xmsec.runtime.faust.app import Notices
    from xmsec.store.outbox import Outbox

    found = routes(given)
    if not found:
        raise ConfigError("nowhere to deliver to", where="worker notify", remedy="write notify/ and XMSEC_NOTIFY_TARGETS")
    outbox = Outbox(given.home)
    try:
        with Courier(found, outbox, outbox, edge(given)) as courier:
            yield courier, Notices(outbox.put, outbox.begun())
    finally:
        outbox.close()
