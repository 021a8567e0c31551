"""Which findings a word may be about, where they are few: found by what findings are called, of which there are few names.

Detectors, titles and systems are some hundred, people some ten thousand, findings a million. What is found here may be about
the word; whether it is, the search itself says, so that it means the same with and without.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

FEW = 20_000  # findings that are looked at one by one in a tenth of a second; of more, a page is soon full in the order of time

_DIGEST = re.compile(r"[0-9A-Fa-f]+")
_CALLED = (
    r"SELECT rowid FROM findings WHERE detector IN"
    r" (SELECT detector FROM called WHERE detector LIKE ? ESCAPE '\' OR title LIKE ? ESCAPE '\')",
    r"SELECT rowid FROM findings WHERE system IN (SELECT system FROM called WHERE system LIKE ? ESCAPE '\')",
    r"SELECT rowid FROM findings WHERE entity_id IN (SELECT entity_id FROM named WHERE entity_id LIKE ? ESCAPE '\')",
)
_ID = r"SELECT rowid FROM findings WHERE id LIKE ? ESCAPE '\'"
_ODD_ID = r"SELECT rowid FROM findings WHERE id GLOB '*[^0-9a-f]*' AND id LIKE ? ESCAPE '\'"


def narrow(connection: sqlite3.Connection, patterns: Sequence[tuple[str, str]]) -> list[int] | None:
    """Return the rows that may hold the first word that few hold; None when each is held by many. patterns: word, for LIKE."""
    for word, pattern in patterns:
        statement = " UNION ALL ".join((*_CALLED, _ID if _DIGEST.fullmatch(word) else _ODD_ID))
        bound = (*[pattern] * statement.count("?"), FEW + 1)
        rows = connection.execute(f"SELECT rowid FROM ({statement}) LIMIT ?", bound).fetchall()
        if len(rows) <= FEW:
            return [row for (row,) in rows]
    return None
