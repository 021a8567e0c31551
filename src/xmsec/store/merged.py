"""Recordings read back in the order in which they were received, each source in its own.

What one partition of the topic brought is a thread: its files follow one another, and a frame that two files hold (a worker
that was cut off wrote on) is taken from the first. Threads are merged by the moment of receiving, which is the order in which a
live run saw them, and every source takes part in event time from where its worker began to wait for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter

from xmsec.model.clock import EPOCH
from xmsec.model.types import Source, Tick
from xmsec.store.archive import Archive
from xmsec.store.claim import agrees
from xmsec.store.columns import Row
from xmsec.store.sealed import READ_ROWS, Sealed, about, framed, opened, received_of

Between = tuple[datetime | None, datetime | None]
Placed = tuple[datetime, Row, bool]  # by which moment; whether the row is only said by the reader: a source takes part


def read_archive(
    archive: Archive,
    key_check: str,
    between: Between = (None, None),
    embedded: Iterable[Sequence[Row]] = (),
) -> Iterator[Sequence[Row]]:
    """Yield what was recorded: events whose time is in a half-open span, and every tick.

    embedded: another recording, merged with the archive's files. Raises ConfigError when a file was made with another key.
    """
    lives = groupby(archive.files(), key=lambda one: (one.origin, one.partition))
    threads = [_thread(archive, list(files), key_check, between) for _, files in lives]
    heard: set[Source] = set()
    batch: list[Row] = []
    for _, row, said in merge(_embedded(embedded), *threads, key=itemgetter(0)):
        source = row.source if isinstance(row, Tick) else row[0].position.source
        if said and source in heard:
            continue
        heard.add(source)
        batch.append(row)
        if len(batch) >= READ_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _embedded(batches: Iterable[Sequence[Row]]) -> Iterator[Placed]:
    latest = EPOCH
    for batch in batches:
        for row in batch:
            latest = max(latest, received_of(row))
            yield latest, row, False


def _thread(archive: Archive, files: Sequence[Sealed], key_check: str, between: Between) -> Iterator[Placed]:
    latest, last = EPOCH, -1
    told: set[Source] = set()
    for one in files:
        if one.last <= last:
            continue
        with archive.open(one.path) as source, opened(source, one.path) as file:
            said = about(file, one.path)
            agrees(said.key_check, key_check, f"{archive.place} {one.path}")
            latest = max(latest, said.received[0])
            for participant in said.participants:
                if participant not in told:
                    told.add(participant)
                    yield latest, Tick(*participant, latest, "open"), True
            for row in framed(file, last, *between):
                latest = max(latest, received_of(row))
                yield latest, row, False
        last = one.last
