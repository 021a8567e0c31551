"""Texts that are cut from another one, as the path and the query are from a URL.

The whole decides: what was found in it stands in its parts too, though a part shows less context. What lies over the edge of a
part is replaced in it piece by piece, so that no half of a value stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from xmsec.classify.hit import Hit, mask, start_of


class Part(msgspec.Struct, frozen=True):
    """A text that is cut from another one, where it starts there, and whether it is known to be clean for itself."""

    whole: int
    start: int
    clean: bool = False


NO_PARTS: Mapping[int, Part] = {}


def handed_down(
    parts: Mapping[int, Part], found: dict[int, list[Hit]], scanned: list[str]
) -> tuple[Sequence[int], Sequence[tuple[int, Hit]]]:
    """Give parts what their wholes have within them; return the parts to look at, and pieces of what lies over their edges."""
    opened: list[int] = []
    torn: list[tuple[int, Hit]] = []
    for index, part in parts.items():
        length = len(scanned[index])
        within: list[Hit] = []
        for hit in found.get(part.whole, ()):
            left, right = hit.left - part.start, hit.right - part.start
            if left >= 0 and right <= length:
                start, end = hit.start - part.start, hit.end - part.start
                within.append(Hit(start, end, hit.which, hit.score, hit.context, left, right))
            elif left < length and right > 0:
                torn.append((index, _piece(hit, max(left, 0), min(right, length))))
        if within:
            within.sort(key=start_of)
            found[index] = within
            scanned[index] = mask(scanned[index], within)
        if within or not part.clean:
            opened.append(index)
    return opened, torn


def covered(hits: Sequence[Hit], piece: Hit) -> list[Hit]:
    """Add pieces to hits, so that nothing is left open where a piece lies."""
    covered: list[Hit] = [*hits]
    at = piece.left
    for hit in sorted(hits, key=start_of):
        edge = min(hit.left, piece.right)
        if at < edge:
            covered.append(_piece(piece, at, edge))
        at = max(at, hit.right)
    if at < piece.right:
        covered.append(_piece(piece, at, piece.right))
    return covered


def _piece(hit: Hit, start: int, end: int) -> Hit:
    return Hit(start, end, hit.which, hit.score, hit.context, start, end)
