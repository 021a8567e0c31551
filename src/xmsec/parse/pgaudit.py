"""PostgreSQL's CSV log (documentation, 20.8.4), with the records of pgaudit in it.

A statement with a line feed in it spans lines: the stream's file says `lines: {quotes: true}`.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.parse.csv_row import csv_row
from xmsec.parse.postgresql import SEVERITIES, Entry, document
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import iso_time

_COLUMNS = (23, 24, 26)  # PostgreSQL up to 12, 13, and since 14


def pgaudit(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `pgaudit`; the stream's `namespace` names the server in its datasets (`postgres://host:5432`)."""
    when = iso_time(zone)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading:
        row = csv_row(text)
        if len(row) not in _COLUMNS or row[11] not in SEVERITIES:
            raise InputError("no-match")
        time = when(row[0])
        host, _, port = row[4].rpartition(":")
        entry = Entry(
            level=SEVERITIES[row[11]],
            message=row[13],
            user=row[1],
            database=row[2],
            pid=row[3],
            host=host,
            port=port,
            session=row[5],
            tag=row[7],
            state=row[12],
            detail=row[14],
            hint=row[15],
            context=row[18],
            statement=row[19],
            application=row[22],
        )
        return Reading(time, *document(entry, namespace))

    return read
