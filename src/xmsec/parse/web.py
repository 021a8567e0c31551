"""Web access logs of unknown origin: a line that is a JSON object is nginx's, any other is common or combined."""

from __future__ import annotations

from datetime import datetime, tzinfo

from xmsec.content.streams import Stream
from xmsec.parse.combined import combined
from xmsec.parse.nginx_json import nginx_json
from xmsec.parse.reading import Format, Reading


def web(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `web`."""
    as_line, as_json = combined(stream, zone), nginx_json(stream, zone)

    def read(text: str, received: datetime) -> Reading | None:
        return as_json(text, received) if text[0] == "{" else as_line(text, received)

    return read
