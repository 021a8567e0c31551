"""Which road carries a frame: that of the release which the frame names, whatever was published since.

Classify goes by the newest release and says so in its frames; what follows takes each frame by the road that it was made for.
So nothing waits at a reload, a frame that comes again finds the road that it had, and each record is seen by one definition of
each detector. A state belongs to a detector and the shape of its states: one that changed and kept its shape goes on with what
it has, and beside one that starts anew the states of the former wait for their windows to close, under its own definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta
from threading import Lock
from typing import Any

import msgspec

from xmsec.model.errors import XmsecError
from xmsec.model.ports import Detector
from xmsec.model.types import Revisions
from xmsec.pipeline.road import Road
from xmsec.runtime.faust.post import log
from xmsec.runtime.releases import Named, number_of, owner_of

LOADED = 3  # roads at hand: the newest, and what is still under way; an earlier one is loaded again when a frame names it
OWN = 0  # the number of content that was never published: a worker's own folders


class AwaitedError(Exception):
    """A frame names a release that did not come yet: it is waited for."""


class Roads:
    """The roads of one worker, by number of their release.

    own: makes the road of its own folders, which is gone by until something is published; load: that of a release. Releases are
    heard of in another thread than the one that carries frames, and loaded there: what is replaced here is replaced whole.
    """

    def __init__(self, own: Callable[[], Road], load: Callable[[Named], Road] | None = None) -> None:
        self._own, self._load = own, load
        self._releases: dict[int, Named] = {}
        self._refused: frozenset[int] = frozenset()
        self._loaded: dict[int, Road] = {}  # the one used last comes last
        self._detectors: Mapping[str, Detector[Any]] = {}
        self._lost: frozenset[str] = frozenset()
        self._lock = Lock()
        self._now: tuple[int, Road] | None = None
        self.types: dict[str, Any] = {}

    @property
    def now(self) -> tuple[int, Road]:
        """The number of what is gone by, and its road."""
        if self._now is None:
            self._now = OWN, self._at(OWN)
        return self._now

    @property
    def number(self) -> int:
        """The number of the release that new records go by."""
        return self._now[0] if self._now else OWN

    @property
    def newest(self) -> Road:
        """What new records go by."""
        return self.now[1]

    def lateness(self, stream: str) -> timedelta:
        """Return a stream's lateness as it is now."""
        return self.newest.lateness(stream)

    def hear(self, releases: Iterable[Named]) -> Mapping[str, XmsecError]:
        """Take in what was published, and go by the newest that loads from now on; return those that do not, and why."""
        for named in releases:  # of two with one number the first holds
            self._releases = {named.release.number: named, **self._releases}
        refused: dict[str, XmsecError] = {}
        for number in sorted((one for one in self._known() if one > self.number), reverse=True):
            error = self._tried(number)
            if error is None:
                road = self._at(number)
                self._merge(road, newest=True)
                self._now = number, road
                break
            refused[self._releases[number].name] = error
        return refused

    def of(self, revisions: Revisions) -> Road:
        """Return the road that a frame was made for; an older one that nobody has any more gives way to the next.

        Raises AwaitedError for a newer one that did not come, or does not load here.
        """
        number, (current, newest) = number_of(revisions.content), self.now
        if number == current:
            return newest
        if number > current:
            raise AwaitedError(f"a frame was made under release {revisions.content}, which does not load here or did not come")
        for later in sorted(one for one in self._known() if number <= one < current):
            if self._tried(later) is None:
                return self._at(later)
        return newest

    def passing(self, owners: AbstractSet[str]) -> Road:
        """Return the road that lets time pass: with the detectors of every release whose states these owners hold."""
        newest = self.newest
        missing = owners - self._detectors.keys() - self._lost
        if missing:
            self._recall(missing)
        return msgspec.structs.replace(newest, detectors=self._detectors)

    def _recall(self, owners: AbstractSet[str]) -> None:
        """Look for owners in earlier releases, the latest first: a worker that starts finds states of detectors that left."""
        for number in sorted(self._known(), reverse=True):
            if self._tried(number) is None and owners <= self._detectors.keys():
                return
        lost = owners - self._detectors.keys()
        self._lost |= lost
        log.warning("states of %s are left as they are: no release that is kept has this detector", ", ".join(sorted(lost)))

    def _known(self) -> list[int]:
        return [one for one in (OWN, *self._releases) if one not in self._refused]

    def _tried(self, number: int) -> XmsecError | None:
        """Load a road unless it is at hand; one that does not load is not asked for again."""
        try:
            self._at(number)
        except XmsecError as error:
            self._refused |= {number}
            return error
        return None

    def _at(self, number: int) -> Road:
        with self._lock:
            road = self._loaded.pop(number, None)
            if road is not None:
                self._loaded[number] = road
                return road
        road = owned(self._own() if number == OWN or self._load is None else self._load(self._releases[number]))
        self.types.update((owner, detector.state) for owner, detector in road.detectors.items())
        with self._lock:
            self._loaded[number] = road
            for stale in [one for one in self._loaded if one != number][: -LOADED + 1]:
                del self._loaded[stale]
        self._merge(road, newest=False)
        return road

    def _merge(self, road: Road, *, newest: bool) -> None:
        """Let time pass for a road's detectors too; of two that own the same states the newest speaks, and it speaks last."""
        with self._lock:
            first, last = (self._detectors, road.detectors) if newest else (road.detectors, self._detectors)
            self._detectors = {**{owner: one for owner, one in first.items() if owner not in last}, **last}


def owned(road: Road) -> Road:
    """Return a road whose detectors go by who owns their states."""
    return msgspec.structs.replace(road, detectors={owner_of(one): one for one in road.detectors.values()})
