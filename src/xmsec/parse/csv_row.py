"""One row of CSV (RFC 4180) taken apart in one pass, of any length; a quote that stays open is an error."""

from __future__ import annotations

import re

from xmsec.model.errors import InputError

COLUMNS = 64  # PostgreSQL's log has 26, its audit records nine
_CELL = re.compile(r'(?:"((?:[^"]|"")*+)"|([^,"]*+))(,|$)', re.DOTALL)


def csv_row(text: str) -> list[str]:
    """Return the cells of one row. Raises InputError.

    >>> csv_row('a,"b ""c"", d",')
    ['a', 'b "c", d', '']
    """
    cells: list[str] = []
    at = 0
    while len(cells) < COLUMNS:
        match = _CELL.match(text, at)
        if match is None:
            raise InputError("open-quote" if '"' in text[at:] else "no-match")
        cells.append(match[2] if match[1] is None else match[1].replace('""', '"'))
        at = match.end()
        if not match[3]:
            if at < len(text):
                break
            return cells
    raise InputError("no-match")
