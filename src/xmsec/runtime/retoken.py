"""Recordings of older epochs go over to the present key: file by file, each whole or not at all, as often as one likes.

A value is not known any more, its token is. Where a link was recorded that can still be opened, the older token becomes the one
that the value has now; any other becomes a token of its token. Both are one for one: what belongs together stays together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import msgspec

from xmsec.classify.epochs import Epoch, Keyring, renewed
from xmsec.model.errors import ConfigError
from xmsec.store.archive import Archive
from xmsec.store.holds import Hold, holds
from xmsec.store.inventory import Kept
from xmsec.store.rewrite import Renewal, links, rewrite
from xmsec.store.sealed import opened

Place = tuple[Archive, Kept]
_LEFT = re.compile(r"\d{8}\.parquet\.\d+\.part")  # of a home's own file: who wrote it was killed


class Renewed(msgspec.Struct, frozen=True):
    """A file with older tokens. epoch: into which they go over; changed: rows; done: False when it was only looked at."""

    place: str
    path: str
    epoch: int
    rows: int
    changed: int
    held: Sequence[str]
    done: bool


def retoken(
    files: Sequence[Place], places: Sequence[Archive], keyring: Keyring, now: datetime, write: bool
) -> Iterator[Renewed]:
    """Yield the files whose tokens go over; those that are held for a case stay, and so does everything without `write`.

    Raises ConfigError when there is no epoch to go over to.
    """
    epochs = targets(keyring, now)
    if write:
        for archive in places:
            archive.remove([name for name, _ in archive.names() if _LEFT.fullmatch(name)])
    for epoch in epochs if write else epochs[-1:]:
        renewal = _renewal(files, keyring, epoch, now)
        for archive, kept in files:
            with archive.open(kept.path) as source, opened(source, f"{archive.place} {kept.path}") as file:
                made = rewrite(file, renewal)
            if made.content is None:
                continue
            held = _held(kept, places)
            if write and not held:
                archive.put(kept.path, made.content)
            yield Renewed(archive.place, kept.path, epoch.number, made.rows, made.changed, held, write and not held)


def targets(keyring: Keyring, now: datetime) -> list[Epoch]:
    """Return the epochs into which older tokens can go over: those that have begun and have a key."""
    found = [epoch for epoch in keyring.epochs[1:] if epoch.start <= now and epoch.key is not None]
    if not found:
        last = keyring.epochs[-1]
        what = "there is one key alone" if last.number == 1 else f"epoch {last.number} begins at {last.start.isoformat()}"
        raise ConfigError(what, where="recordings retoken", remedy="see xmsec keys rotate")
    return found


def _renewal(files: Sequence[Place], keyring: Keyring, epoch: Epoch, now: datetime) -> Renewal:
    again = partial(renewed, epoch=epoch)
    joined: dict[str, str] = {}
    for token, link in _links(files, f"{epoch.number - 1}:"):
        former = keyring.former(token, link, now)
        if former is not None:
            joined[former] = token
            joined[again(former)] = token  # from before this value was seen again
    checks = "+".join(keyring.check.split("+")[: epoch.number])
    return Renewal(epoch.number, checks, keyring.number, joined, again)


def _links(files: Iterable[Place], prefix: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for archive, kept in files:
        with archive.open(kept.path) as source, opened(source, f"{archive.place} {kept.path}") as file:
            found.update((token, link) for token, link in links(file) if link.startswith(prefix))
    return found


def _held(kept: Kept, places: Sequence[Archive]) -> list[str]:
    """Return the cases that hold a file by now."""
    placed: list[Hold] = [hold for archive in places for hold in holds(archive)]
    return sorted({hold.case for hold in placed if hold.covers((kept.received, kept.time))})
