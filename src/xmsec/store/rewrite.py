"""A sealed file of a recording written again with other tokens: same rows, same order, same name.

Tokens of one type are of one length, so that spans stay where they are. What a span was linked by goes with its token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmsec.classify.token import TOKEN
from xmsec.model.types import Span
from xmsec.store.columns import REPEATED
from xmsec.store.terms import Terms

GROUP_ROWS = 20_000  # a row group: what is held uncompressed, some 20 MB
_MARK = b"xmsec.retokened"
_CHECK = b"xmsec.key_check"
_ABOUT = b"xmsec.about"
_ARROW = b"ARROW:schema"  # the writer says it anew
_TEXTS = ("fields", "spans", "user", "action")
_spans = msgspec.json.Decoder(tuple[Span, ...]).decode
_json = msgspec.json.Encoder().encode


class Renewal(msgspec.Struct, frozen=True):
    """How tokens go over into an epoch.

    number: the epoch; checks: of the keys up to its own; written: which epoch wrote a record of these times; joined: a token of
    before → what its value has now; renewed: what stands for a token whose value has no other.
    """

    number: int
    checks: str
    written: Callable[[datetime, datetime], int]
    joined: Mapping[str, str]
    renewed: Callable[[str], str]


class Rewritten(msgspec.Struct, frozen=True):
    """What became of a file. content: None when it stays as it is; changed: rows that have other tokens now."""

    rows: int
    changed: int
    content: Any = None


def mark_of(file: pq.ParquetFile) -> int:
    """Return the epoch into which older tokens of a file went over, 0 when none did."""
    return int((file.metadata.metadata or {}).get(_MARK, b"0"))


def links(file: pq.ParquetFile) -> Iterator[tuple[str, str]]:
    """Yield new tokens with their sealed earlier ones."""
    for batch in file.iter_batches(GROUP_ROWS, columns=["spans"]):
        spans = batch.column("spans")
        for text in spans.filter(pc.fill_null(pc.match_substring(spans, '"link":"'), False)).to_pylist():
            yield from ((span.token, span.link) for span in _spans(text) if span.link)


def rewrite(file: pq.ParquetFile, renewal: Renewal) -> Rewritten:
    """Write a file anew, in memory."""
    marked, said = mark_of(file), file.metadata.metadata or {}
    rows = file.metadata.num_rows
    if marked > renewal.number:
        return Rewritten(rows, 0)
    known = len(said.get(_CHECK, b"").split(b"+"))
    change = _Change(renewal, marked, known)
    sink, terms = pa.BufferOutputStream(), Terms()
    schema = file.schema_arrow.remove_metadata()
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=list(REPEATED)) as writer:
        for batch in file.iter_batches(GROUP_ROWS):
            group = change.table(pa.Table.from_batches([batch]).replace_schema_metadata(None))
            terms.add(group)
            writer.write_table(group)
        writer.add_key_value_metadata({**_said(said, renewal, known), **terms.entry()})
    return Rewritten(rows, change.changed, sink.getvalue() if change.changed else None)


def _said(said: Mapping[bytes, bytes], renewal: Renewal, known: int) -> dict[str, str]:
    """Return what a file says of itself, with the keys that its tokens are of by now."""
    checks = renewal.checks if known < renewal.number else said[_CHECK].decode()
    now = {name.decode(): text.decode() for name, text in said.items() if name != _ARROW}
    now |= {_CHECK.decode(): checks, _MARK.decode(): str(renewal.number)}
    if _ABOUT in said:
        now[_ABOUT.decode()] = _json({**msgspec.json.decode(said[_ABOUT]), "key_check": checks}).decode()
    return now


class _Change:
    """Renames the tokens of rows; counts the rows that it changed. marked, known: what the file says of its epochs."""

    def __init__(self, renewal: Renewal, marked: int, known: int) -> None:
        self._renewal, self._marked, self._known = renewal, marked, known
        self._names: dict[str, str] = {}
        self.changed = 0

    def table(self, table: pa.Table) -> pa.Table:
        """Return a table with the tokens that it is to have."""
        moments = zip(table["time"].to_pylist(), table["received"].to_pylist(), strict=True)
        older = [self._older(time, received) for time, received in moments]
        changed: set[int] = set()
        for name in (*_TEXTS, "datasets"):
            was = table[name].to_pylist()
            now = [self._value(name, value, old) for value, old in zip(was, older, strict=True)]
            places = [place for place, (before, after) in enumerate(zip(was, now, strict=True)) if before is not after]
            if places:
                changed.update(places)
                at = table.schema.get_field_index(name)
                table = table.set_column(at, table.schema.field(name), pa.array(now, table.schema.field(name).type))
        self.changed += len(changed)
        return table

    def _older(self, time: datetime, received: datetime) -> bool:
        renewal = self._renewal
        return self._marked < renewal.number and min(renewal.written(time, received), self._known) < renewal.number

    def _value(self, name: str, value: Any, older: bool) -> Any:
        """Return a value with other tokens; itself when it has none to change."""
        if not older and self._marked != self._renewal.number:
            return value
        if isinstance(value, str):
            return self._text(name, value, older)
        if isinstance(value, Sequence):
            now = [self._text(name, one, older) for one in value]
            return value if now == value else now
        return value

    def _text(self, name: str, text: str, older: bool) -> str:
        if "⟨" not in text:
            return text
        name_of = self._renamed if older else self._joined
        now = TOKEN.sub(lambda found: name_of(found[0]), text)
        if now == text:
            return text
        if name == "spans" and '"link":"' in now:
            now = _json([msgspec.structs.replace(span, link="") for span in _spans(now)]).decode()
        return now

    def _joined(self, token: str) -> str:
        return self._renewal.joined.get(token, token)

    def _renamed(self, token: str) -> str:
        name = self._names.get(token)
        if name is None:
            name = self._names[token] = self._renewal.joined.get(token) or self._renewal.renewed(token)
        return name
