"""The format `mysql-audit`: whichever of the three shapes a record has."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.parse.mariadb import audit_line
from xmsec.parse.mysql import document
from xmsec.parse.mysql_json import audit_object
from xmsec.parse.mysql_xml import audit_record
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import epoch_time, iso_time

_AURORA_DIGITS = 16


def mysql_audit(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `mysql-audit`; the stream's `namespace` names the server in its datasets (`mysql://host:3306`).

    XML and JSON write times in UTC, whatever the stream's `timezone`; MariaDB writes local ones.
    """
    utc, local, epoch = iso_time(UTC), iso_time(zone), epoch_time(1)
    namespace = stream.namespace or ""

    def read(text: str, received: datetime) -> Reading | None:
        start = text.lstrip()[0]
        if start in "<{[],":
            found = audit_record(text) if start == "<" else audit_object(text)
            if found is None:
                return None
            time = utc(found[0])
        else:
            found = audit_line(text)
            stamp = found[0]
            time = epoch(stamp) if len(stamp) == _AURORA_DIGITS else local(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}")
        return Reading(time, *document(found[1], namespace))

    return read
