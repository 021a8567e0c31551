"""A detector that weighs: two kilobytes for every key of all seven kinds, rewritten by every commit whose frames have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from zlib import crc32

import msgspec

from xmsec.detect.entity import keys_of
from xmsec.model.clock import HOUR, window_of
from xmsec.model.types import KEY_KINDS, Context, Finding, Key

REGISTERS = 2_000  # bytes


class Weighed(msgspec.Struct, frozen=True, array_like=True):
    """What a key's events were: how many, until when they matter, and registers such as a sketch has."""

    count: int = 0
    end: datetime | None = None
    registers: bytes = bytes(REGISTERS)


class Weight:
    """Seven kinds of keys, an hour each; it tells nothing."""

    id, version, fields, state = "bench-weight", "1", frozenset[str](), Weighed

    def initial(self) -> Sequence[Key]:
        """No key exists before its first event."""
        return ()

    def keys(self, context: Context) -> Sequence[Key]:
        """Return what the event touches, of every kind."""
        return [key for kind in KEY_KINDS for key in keys_of(kind, context)]

    def start(self) -> Weighed:
        """Return nothing seen."""
        return Weighed()

    def step(
        self, states: Mapping[Key, Weighed], batch: Sequence[tuple[Key, Context]]
    ) -> tuple[Mapping[Key, Weighed], Sequence[Finding]]:
        """Count, and note each event in the registers."""
        seen: dict[Key, list[Context]] = {}
        for key, context in batch:
            seen.setdefault(key, []).append(context)
        return {key: _weighed(states[key], contexts) for key, contexts in seen.items()}, ()

    def due(self, state: Weighed) -> datetime | None:
        """Return the end of the last hour in which there was something."""
        return state.end

    def advance(
        self, states: Mapping[Key, Weighed], watermark: datetime
    ) -> tuple[Mapping[Key, Weighed | None], Sequence[Finding]]:
        """Forget whose hour is over."""
        return {key: None for key, state in states.items() if state.end is not None and state.end <= watermark}, ()


def _weighed(before: Weighed, contexts: Sequence[Context]) -> Weighed:
    registers = bytearray(before.registers)
    for context in contexts:
        mixed = crc32(context.event.id.encode())
        place = mixed % REGISTERS
        registers[place] = max(registers[place], mixed >> 24)
    last = max(context.event.time for context in contexts)
    end = window_of(last, HOUR).end
    return Weighed(before.count + len(contexts), end if before.end is None else max(end, before.end), bytes(registers))
