"""What an embedded deployment says of its health: figures for Prometheus, and why it is not ready."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from xmsec.runtime.metrics import Metric, budgets, counted, event_times, gauge
from xmsec.store import figures

STATES_EVERY_S = 60.0  # counting a million states reads them all: some seconds
PROBE = ".ready"
PROBE_BYTES = b"\0" * 4096  # a block: a full disk still takes an empty file


class Vitals:
    """Looks at a home's store from beside its writer.

    per_day: each model's budget, detector → entities; lag: (stream, partition) → bytes that were not read yet; unreadable: what
    is wrong with sources, a sentence each; more: further families.
    """

    def __init__(
        self,
        path: Path,
        zone: tzinfo,
        per_day: Mapping[str, float],
        *,
        lag: Callable[[], Mapping[tuple[str, ...], float]] = dict,
        unreadable: Callable[[], Sequence[str]] = tuple,
        more: Callable[[], Sequence[Metric]] = tuple,
    ) -> None:
        self._path, self._zone, self._per_day = path, zone, per_day
        self._lag, self._unreadable, self._more = lag, unreadable, more
        self._identity = _identity(path)
        self._states: tuple[float, Mapping[tuple[str, ...], tuple[int, int]]] = (0.0, {})

    def metrics(self, connection: sqlite3.Connection, clock: Callable[[], datetime]) -> list[Metric]:
        """Return every family."""
        now = clock()
        midnight = now.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        told = figures.told_since(connection, midnight.astimezone(UTC))
        states = self._counted_states(connection, now.timestamp())
        return [
            *counted(figures.counts(connection)),
            *budgets(told, self._per_day),
            event_times(figures.event_times(connection)),
            gauge("xmsec_findings", "Findings in the store.", ("severity", "state"), figures.findings(connection)),
            gauge("xmsec_incidents", "Incidents in the store.", ("severity", "status"), figures.incidents(connection)),
            gauge("xmsec_states", "States kept.", ("owner",), {owner: count for owner, (count, _) in states.items()}),
            gauge("xmsec_state_bytes", "Bytes of states.", ("owner",), {owner: size for owner, (_, size) in states.items()}),
            gauge("xmsec_store_bytes", "Size of the store's file.", (), {(): figures.size_bytes(connection)}),
            gauge("xmsec_source_lag_bytes", "Bytes not read yet.", ("stream", "partition"), self._lag()),
            *self._more(),
        ]

    def _counted_states(self, connection: sqlite3.Connection, now_s: float) -> Mapping[tuple[str, ...], tuple[int, int]]:
        at, states = self._states
        if not states or not at <= now_s < at + STATES_EVERY_S:
            self._states = (now_s, figures.states(connection))
        return self._states[1]

    def problems(self) -> list[str]:
        """Return why the deployment is not ready: the store takes no writes, or a source cannot be read."""
        return [*self._unwritable(), *self._unreadable()]

    def _unwritable(self) -> list[str]:
        """Try what a commit does: take the store's lock, and put a block onto its disk."""
        try:
            if _identity(self._path) != self._identity:
                return [f"the store was replaced: {self._path}"]
            with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
            _write(self._path.with_name(PROBE))
        except sqlite3.Error as error:
            return [f"the store cannot be written ({type(error).__name__}): {self._path}"]
        except OSError as error:
            return [f"the store cannot be written ({error.strerror}): {self._path}"]
        return []


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _write(probe: Path) -> None:
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, PROBE_BYTES)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        probe.unlink()
