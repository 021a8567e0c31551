r"""A set engine says which of many patterns can hit in which of many texts: one scan over all texts joined.

It answers with a superset, never with an omission; each pattern's own engine then verifies. Texts are joined by a line feed, so
a pattern may use `^`, `$` and `\b` but not `\A` and `\Z`.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import hyperscan as hs

# not UCP: its Unicode `\b` would hide identifiers that are glued to Chinese; not SINGLEMATCH: many texts share one buffer
PATTERN_FLAGS: int = (
    hs.HS_FLAG_CASELESS
    | hs.HS_FLAG_DOTALL
    | hs.HS_FLAG_MULTILINE
    | hs.HS_FLAG_UTF8
    | hs.HS_FLAG_PREFILTER
    | hs.HS_FLAG_ALLOWEMPTY
)
LITERAL_FLAGS: int = hs.HS_FLAG_CASELESS
SEPARATOR = "\n\0\n"  # `^` and `$` see the line feeds; white space that a pattern may repeat stops at the NUL
_CHECK_BYTES = 32
_VERSION = version("hyperscan")  # another engine cannot load what this one compiled


class Prefilter:
    """A compiled set of patterns (regular expressions, or literals taken as they are).

    cache: a folder for compiled databases, by content hash; compiling 25 patterns takes a second, loading them a millisecond.
    Without a folder, or with one that cannot be written, everything works and compiles each time.
    """

    def __init__(
        self, patterns: Sequence[str | bytes], flags: int = PATTERN_FLAGS, cache: Path | None = None, *, literal: bool = False
    ) -> None:
        self._size = len(patterns)
        expressions = [pattern.encode("utf-8") if isinstance(pattern, str) else pattern for pattern in patterns]
        self._database: Any = _database(expressions, flags, literal, cache) if expressions else None
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"Prefilter({self._size} patterns)"

    def scan(self, texts: Sequence[str]) -> Iterable[tuple[int, int]]:
        r"""Return which pattern can hit in which text: pairs (text index, pattern index), sorted, each once.

        >>> Prefilter([r"\d{4}", "ab"]).scan(["x 2024", "cab 12"])
        [(0, 0), (1, 1)]
        """
        if self._database is None or not texts:
            return ()
        joined = SEPARATOR.join(texts)
        found = self._scan(joined.encode("utf-8", "replace"))
        if not found:
            return ()
        starts = _starts(texts, ascii_only=joined.isascii())
        return sorted({(bisect_right(starts, end) - 1, pattern) for pattern, end in found})

    def _scan(self, data: bytes) -> list[tuple[int, int]]:
        """Return (pattern, end in bytes) of each match; the scratch is the thread's own, as the engine demands."""
        found: list[tuple[int, int]] = []
        add = found.append

        def on_match(pattern: int, _start: int, end: int, _flags: int, _context: object) -> None:
            add((pattern, end))

        scratch = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = self._database.scratch.clone()
        self._database.scan(data, match_event_handler=on_match, scratch=scratch)
        return found


def _starts(texts: Sequence[str], *, ascii_only: bool) -> array[int]:
    """Return where each text begins in the joined buffer, in bytes."""
    starts = array("q", [0])
    at, gap = 0, len(SEPARATOR)
    for text in texts:
        at += gap + (len(text) if ascii_only or text.isascii() else len(text.encode("utf-8", "replace")))
        starts.append(at)
    starts.pop()
    return starts


def _database(expressions: Sequence[bytes], flags: int, literal: bool, cache: Path | None) -> Any:
    path = None if cache is None else cache / f"{_fingerprint(expressions, flags, literal)}.hs"
    database = None if path is None else _load(path)
    if database is None:
        database = hs.Database(mode=hs.HS_MODE_BLOCK)
        database.compile(
            expressions=list(expressions),
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[flags] * len(expressions),
            literal=literal,
        )
        if path is not None:
            _save(path, hs.dumpb(database))
    return database


def _fingerprint(expressions: Sequence[bytes], flags: int, literal: bool) -> str:
    total = blake2b(f"{_VERSION} {flags} {literal}".encode(), digest_size=16)
    for expression in expressions:
        total.update(len(expression).to_bytes(4, "big") + expression)
    return total.hexdigest()


def _load(path: Path) -> Any | None:
    """Return a cached database; None when there is none, when a byte of it changed, or when another processor made it.

    The engine itself loads altered bytes without a word, so the hash in front of them is ours.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    check, body = content[:_CHECK_BYTES], content[_CHECK_BYTES:]
    if blake2b(body, digest_size=_CHECK_BYTES).digest() != check:
        return None
    try:
        database = hs.loadb(body, hs.HS_MODE_BLOCK)
        database.scratch = hs.Scratch(database)
    except hs.error:
        return None
    return database


def _save(path: Path, body: bytes) -> None:
    """Write by rename, so that a reader never sees half a file; a folder that cannot be written is no error."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
            part.write(blake2b(body, digest_size=_CHECK_BYTES).digest() + body)
        os.replace(part.name, path)
    except OSError:
        return
