"""One process: micro-batches go along the road, and about once a second all that they gave is committed in one transaction.

Killed anywhere, the next start goes on from the committed positions: what was not committed is read again, and the road gives
the same once more.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from xmsec.model.ports import Outcome, States
from xmsec.model.types import Raw, Source, Tick
from xmsec.pipeline.batch import carry_on, process_batch
from xmsec.pipeline.road import Road, Taken
from xmsec.store.sqlite import SqliteStore

COMMIT_S = 1.0  # a commit costs some 10 ms whatever it holds; more often slows the road, more seldom delays what people see
COMMIT_STATES = 100_000  # touched states that wait for a commit: some 100 MB
YOUNG = 100_000  # containers that are made before the collector looks at them: more than the batches of one commit leave


class Witness(Protocol):
    """Who keeps something of what passed: a recording, a summary. What it wrote counts once its entries are committed."""

    def append(self, outcomes: Sequence[Outcome]) -> Mapping[str, str]:
        """Take in what batches gave; return the entries that the same transaction must hold."""
        ...


class Embedded:
    """Drives one road over one store."""

    def __init__(
        self,
        road: Road,
        store: SqliteStore,
        witnesses: Sequence[Witness],
        monotonic: Callable[[], float],
        scan: Collection[Source] = (),
    ) -> None:
        self._road, self._store, self._witnesses, self._monotonic, self._scan = road, store, witnesses, monotonic, scan

    def follow(self, road: Road) -> None:
        """Take another road from the next batch on, whose detectors keep the same states."""
        self._road = road

    def drive(self, batches: Iterable[Sequence[Raw | Tick]]) -> Iterator[Sequence[Outcome]]:
        """Carry batches along the road; yields what was committed, as it is committed."""
        return _settled(self._commit(batches, lambda records, states: process_batch(records, self._road, states)))

    def replay(self, batches: Iterable[Taken]) -> Iterator[Sequence[Outcome]]:
        """Carry recorded events along the rest of the road."""
        return _settled(self._commit(batches, lambda taken, states: carry_on(taken, self._road, states)))

    def _commit(self, batches: Iterable[Any], carry: Callable[[Any, States], Outcome]) -> Iterator[Sequence[Outcome]]:
        states = self._store.states()
        waiting: list[Outcome] = []
        touched, since = 0, self._monotonic()
        for batch in batches:
            outcome = carry(batch, states)
            if outcome.clocks or outcome.states:
                states.absorb(outcome.states, outcome.clocks)
                waiting.append(outcome)
                touched += len(outcome.states)
            if waiting and (self._monotonic() - since >= COMMIT_S or touched >= COMMIT_STATES):
                yield self._write(waiting)
                waiting, touched, since = [], 0, self._monotonic()
        if waiting:
            yield self._write(waiting)

    def _write(self, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        entries = {name: value for witness in self._witnesses for name, value in witness.append(outcomes).items()}
        self._store.commit(outcomes, scan=self._scan, meta=entries)
        return outcomes


def _settled(committed: Iterator[Sequence[Outcome]]) -> Iterator[Sequence[Outcome]]:
    with settled():
        yield from committed


@contextmanager
def settled() -> Iterator[None]:
    """Let the collector leave alone what was loaded before (3 to 14 % of the road, most where values are many).

    What a batch holds it leaves alone too as a rule (2 to 5 %): that goes without its help as soon as it is committed.
    """
    threshold, *older = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(threshold, YOUNG), *older)
    try:
        yield
    finally:
        gc.set_threshold(threshold, *older)
        gc.unfreeze()
