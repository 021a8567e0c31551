"""What recordings there are, of one process and of workers: what `xmsec recordings` lists and prunes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from xmsec.model.types import Revisions
from xmsec.store.archive import Archive
from xmsec.store.holds import Hold, Span

_NUMBERED = re.compile(r"(\d{8})\.(parquet|open)")


class Kept(msgspec.Struct, frozen=True):
    """One file. path: below its place; sealed: nothing is written to it any more, and no store waits for it.

    received, time: first and last moment; None, as is the rest, of a file that is not sealed. retokened: the epoch under whose
    key older tokens in it were written again, 0 when none were.
    """

    place: str
    path: str
    bytes: int
    sealed: bool
    rows: int | None = None
    received: Span | None = None
    time: Span | None = None
    revisions: tuple[Revisions, ...] = ()
    key_check: str = ""
    retokened: int = 0
    held: tuple[str, ...] = ()


def inventory(archive: Archive, committed: str | None, held: Sequence[Hold]) -> Iterator[Kept]:
    """Yield the files of a place, in their order. committed: the entry of the store whose recordings are here, if any.

    Raises InputError when a file is damaged.
    """
    from xmsec.store.sealed import Sealed

    current = int(committed.split()[0]) if committed else None
    for path, size in archive.names():
        numbered = _NUMBERED.fullmatch(path)
        if numbered is None and Sealed.of(path) is None:
            continue
        # the store may still speak of the part that was sealed last: without it the next start would be refused
        waited = numbered is not None and (numbered[2] == "open" or (current is not None and int(numbered[1]) >= current))
        if numbered is not None and numbered[2] == "open":
            yield Kept(archive.place, path, size, False, held=())
            continue
        said = _said(archive, path)
        names = tuple(sorted({hold.case for hold in held if hold.covers((said.received, said.time))}))
        yield msgspec.structs.replace(said, bytes=size, sealed=not waited, held=names)


def _said(archive: Archive, path: str) -> Kept:
    from xmsec.store.rewrite import mark_of
    from xmsec.store.sealed import Sealed, about, opened

    with archive.open(path) as source, opened(source, f"{archive.place} {path}") as file:
        marked = mark_of(file)
        if Sealed.of(path) is not None:
            said = about(file, path)
            return Kept(
                archive.place, path, 0, True, said.rows, said.received, said.time, said.revisions, said.key_check, marked
            )
        check: bytes = (file.metadata.metadata or {}).get(b"xmsec.key_check", b"")
        spans = [_range(file, name) for name in ("received", "time")]
        pairs = file.read(["content", "ledger"]).group_by(["content", "ledger"]).aggregate([]).to_pylist()
        revisions = tuple(Revisions(one["content"], one["ledger"]) for one in pairs)
        return Kept(archive.place, path, 0, True, file.metadata.num_rows, spans[0], spans[1], revisions, check.decode(), marked)


def _range(file: Any, name: str) -> Span | None:
    """Return the least and the greatest value of a column, as its statistics say."""
    place = file.schema_arrow.get_field_index(name)
    found: list[datetime] = []
    for number in range(file.metadata.num_row_groups):
        told = file.metadata.row_group(number).column(place).statistics
        if told is not None and told.has_min_max:
            found += (told.min, told.max)
    return (min(found), max(found)) if found else None


def prunable(one: Kept, before: datetime) -> bool:
    """Whether a file may go: sealed, all of it received before a moment, and not held."""
    return one.sealed and not one.held and one.received is not None and one.received[1] < before
