"""A value that was found in a text, and the mask that is laid over it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MASK = "⟨"  # stands over what was found, and nothing that holds it is a hit; parse leaves none in a text


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A value that was found: offsets in code points, and which recogniser found it.

    left, right: the stretch that its token replaces; it is longer than the value where a refused hit hung over its edge.
    """

    start: int
    end: int
    which: int
    score: float
    context: bool = False
    left: int = -1
    right: int = -1


def start_of(hit: Hit) -> int:
    """Return where a hit starts: what hits are sorted by."""
    return hit.start


def mask(text: str, hits: Sequence[Hit]) -> str:
    """Return a text with a mask over its hits, which stand in order."""
    pieces: list[str] = []
    at = 0
    for hit in hits:
        pieces += (text[at : hit.left], MASK * (hit.right - hit.left))
        at = hit.right
    return "".join((*pieces, text[at:]))
