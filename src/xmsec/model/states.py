"""Layers of remembered state: what a batch touched lies on top of what is committed, without a copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from xmsec.model.ports import Held, Owned, States
from xmsec.model.types import Clock, Key, Source


class Layered:
    """A view of `below` with touched states (None hides an evicted one) and clocks laid over it."""

    def __init__(
        self, below: States, touched: Mapping[Owned, Held | None], clocks: Mapping[Source, Clock] | None = None
    ) -> None:
        self._below = below
        self._touched = touched
        self.clocks: Mapping[Source, Clock] = below.clocks if clocks is None else {**below.clocks, **clocks}

    def get(self, owner: str, key: Key) -> Held | None:
        """Return the state of one owner's key, or None."""
        owned = (owner, key)
        if owned in self._touched:
            return self._touched[owned]
        return self._below.get(owner, key)

    def due(self, watermark: datetime | None) -> Iterable[Owned]:
        """Return the keys whose state wants time to pass up to `watermark` (None: any time), each once."""
        for owned in self._below.due(watermark):
            if owned not in self._touched:
                yield owned
        for owned, held in self._touched.items():
            if held is not None and held.due is not None and (watermark is None or held.due <= watermark):
                yield owned


class Memory:
    """States kept in dictionaries, for replays, inline tests and benches; `absorb` takes what a batch touched."""

    def __init__(self) -> None:
        self.clocks: dict[Source, Clock] = {}
        self._held: dict[Owned, Held] = {}

    def get(self, owner: str, key: Key) -> Held | None:
        """Return the state of one owner's key, or None."""
        return self._held.get((owner, key))

    def due(self, watermark: datetime | None) -> Iterable[Owned]:
        """Return the keys whose state wants time to pass up to `watermark` (None: any time)."""
        return [
            owned for owned, held in self._held.items() if held.due is not None and (watermark is None or held.due <= watermark)
        ]

    def absorb(self, touched: Mapping[Owned, Held | None], clocks: Mapping[Source, Clock]) -> None:
        """Take over what a batch touched."""
        self.clocks.update(clocks)
        for owned, held in touched.items():
            if held is None:
                self._held.pop(owned, None)
            else:
                self._held[owned] = held
