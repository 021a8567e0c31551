"""What a deployment hands the console: what it shows and changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import tzinfo

import msgspec

from xmsec.content.streams import Stream
from xmsec.ledger.book import Book
from xmsec.ledger.entries import Entries
from xmsec.model.clock import EPOCH
from xmsec.model.ports import Acts, Reader
from xmsec.runtime.approval import Means
from xmsec.runtime.exceptions import Shelf
from xmsec.runtime.ledgers import Ledgers
from xmsec.runtime.reasons import Reason
from xmsec.runtime.trails import Trails

Lag = Callable[[], Mapping[tuple[str, ...], float]]


Why = Callable[[Sequence[str], Sequence[str]], Sequence[Reason]]  # of a finding's types and datasets


def unexplained(_: Sequence[str], __: Sequence[str]) -> Sequence[Reason]:
    """Give no reasons for a grade."""
    return ()


def unwritten() -> Book:
    """Return a ledger that knows nothing."""
    return Book(Entries(as_of=EPOCH, revision=0))


class Records(msgspec.Struct, frozen=True):
    """What the console shows and changes.

    reader: opens what is read from, once a request; acts: where decisions on incidents are recorded; means: what they are
    answered with; zone: of the times shown; streams: of the content; lag: (stream, partition) → bytes that were not read yet;
    workers: whether others carry the records, who say themselves what they did not carry; exceptions: where they lie, None:
    none are made here; book: the ledger, as it is now; why: reasons of a grade; problems: why the deployment is not ready, or
    not whole, a line each; trails: what they are followed over, None: none are; ledgers: how the ledger is reviewed, None: it
    is not.
    """

    reader: Callable[[], Reader]
    acts: Acts
    means: Means
    zone: tzinfo
    streams: Mapping[str, Stream] = {}
    lag: Lag = dict
    workers: bool = False
    exceptions: Shelf | None = None
    book: Callable[[], Book] = unwritten
    why: Why = unexplained
    problems: Callable[[], Sequence[str]] = tuple
    trails: Trails | None = None
    ledgers: Ledgers | None = None
