"""Which tokens and actors a row group of a recording may hold, so that a trail is not looked for where it is not.

A Bloom filter a row group (ten bits a term, seven hashes: one group in a hundred is read in vain), base64 in the file's footer,
so that it appears and goes with its file. Parquet's own filters are of whole columns, and tokens stand within texts.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from xmsec.classify.token import TOKEN
from xmsec.detect.entity import KIND_BY_FIELD

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ENTRY = "xmsec.terms"
BITS = 10  # a term
HASHES = 7
_NAMES = "|".join(re.escape(name) for name in KIND_BY_FIELD)
_ACTORS = re.compile(rf'"(?:{_NAMES})":("[^"\\]*(?:\\.[^"\\]*)*"|[^,}}"]+)'.encode())
_TOKENS = re.compile(TOKEN.pattern.encode())
_Filter = np.ndarray[tuple[int], np.dtype[np.uint8]]


class Terms:
    """What the row groups of one file hold, in their order."""

    def __init__(self) -> None:
        self._groups: list[bytes] = []

    def add(self, group: pa.Table) -> None:
        """Take in a row group; some 2 µs an event, most of it for the names of actors."""
        found = {token.decode() for token in _found(_TOKENS, group["spans"])}
        found.update(map(_plain, _found(_ACTORS, group["fields"])))
        self._groups.append(b64encode(filled(found).tobytes()))

    def entry(self) -> dict[str, str]:
        """Return what the file's footer says of them."""
        return {ENTRY: b" ".join(self._groups).decode()}


def _found(pattern: re.Pattern[bytes], column: pa.ChunkedArray) -> set[bytes]:
    """Return what a pattern finds in a column's texts, as UTF-8; a chunk is looked at as one text, for no match spans two."""
    found: set[bytes] = set()
    for chunk in column.chunks:
        _, offsets, texts = chunk.buffers()
        if texts is not None:
            ends = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
            found.update(pattern.findall(memoryview(texts)[ends[0] : ends[-1]]))
    return found


def filled(terms: Iterable[str]) -> _Filter:
    """Return a filter that holds these terms."""
    sums = _sums(sorted(terms))
    size = max(64, (BITS * len(sums) + 63) // 64 * 64)
    places = _places(sums, size)
    bits: _Filter = np.zeros(size // 8, np.uint8)
    np.bitwise_or.at(bits, (places >> np.uint64(3)).astype(np.int64), np.left_shift(1, places & np.uint64(7)).astype(np.uint8))
    return bits


def holding(file: pq.ParquetFile, terms: Sequence[str]) -> list[int]:
    """Return the row groups that may hold one of the terms; all of a file that does not say."""
    groups = file.metadata.num_row_groups
    said: bytes = (file.metadata.metadata or {}).get(ENTRY.encode(), b"")
    filters = said.split(b" ") if said else []
    if len(filters) != groups:
        return list(range(groups))
    sums = _sums(terms)
    return [number for number, text in enumerate(filters) if _may_hold(np.frombuffer(b64decode(text), np.uint8), sums)]


def _may_hold(bits: _Filter, sums: np.ndarray[tuple[int, int], np.dtype[np.uint64]]) -> bool:
    places = _places(sums, 8 * len(bits)).reshape(-1, HASHES)
    found = bits[(places >> np.uint64(3)).astype(np.int64)] >> (places & np.uint64(7)).astype(np.uint8) & 1
    return bool(found.all(axis=1).any())


def _sums(terms: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    hashed = b"".join(blake2b(one.encode("utf-8", "surrogatepass"), digest_size=16).digest() for one in terms)
    return np.frombuffer(hashed, "<u8").reshape(-1, 2)


def _places(sums: np.ndarray[tuple[int, int], np.dtype[np.uint64]], size: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return the places of each term's bits (Kirsch and Mitzenmacher 2006: two hashes make as many as are wanted)."""
    steps = np.arange(HASHES, dtype=np.uint64)
    places = (sums[:, :1] + sums[:, 1:] * steps) % np.uint64(size)
    return places.ravel()


def _plain(written: bytes) -> str:
    """Return a JSON value as an actor is named."""
    return str(json.loads(written)) if written.startswith(b'"') else written.decode()
