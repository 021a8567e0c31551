"""The format `mysql-audit`: whichever of the four shapes a record has."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.parse.mariadb import audit_line
from xmsec.parse.mysql import document
from xmsec.parse.mysql_csv import audit_row
from xmsec.parse.mysql_json import audit_object
from xmsec.parse.mysql_xml import audit_record
from xmsec.parse.reading import Format, Reading
from xmsec.parse.syslog import syslog
from xmsec.parse.times import epoch_time, iso_time

_DATE = re.compile(r"(\d{4})(\d\d)(\d\d) (.{8})")


def mysql_audit(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `mysql-audit`; the stream's `namespace` names the server in its datasets (`mysql://host:3306`).

    XML and JSON write times in UTC, whatever the stream's `timezone`; MariaDB writes local ones.
    """
    utc, local = iso_time(UTC), _local_time(stream, zone)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading | None:
        start = text.lstrip()[:2]
        xml = start[0] == "<" and not start[1:].isdecimal()
        if xml or start[0] in "{[],":
            found = audit_record(text) if xml else audit_object(text)
            if found is None:
                return None
            time = utc(found[0])
        elif start[0] == '"':
            found = audit_row(text)
            time = utc(found[0])
        else:
            found = audit_line(text)
            time = local(found[0], received)
        return Reading(time, *document(found[1], namespace))

    return read


def _local_time(stream: Stream, zone: tzinfo) -> Callable[[str, datetime], datetime]:
    """Read the time of a line of MariaDB's: its own, microseconds, or that of the syslog message that it stands in."""
    local, epoch, header = iso_time(zone), epoch_time(1), syslog(stream, zone)

    def when(stamp: str, received: datetime) -> datetime:
        date = _DATE.fullmatch(stamp)
        if date is not None:
            return local(f"{date[1]}-{date[2]}-{date[3]} {date[4]}")
        if stamp.isdecimal():
            return epoch(stamp)
        reading = header(stamp, received)
        return received if reading is None else reading.time

    return when
