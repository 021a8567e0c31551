"""What is said beside the result, as text for people or as JSON lines for collectors; never a value.

What our own code says names positions, types and lengths. Of other libraries a JSON line keeps the place and the text as it
stands in their code, without what they put into it: that may quote a record.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

OWN = "xmsec"
_WARNING = f"{OWN}: "  # how a line for people begins that tells of something wrong


class Form(StrEnum):
    """How remarks are written."""

    text = "text"
    json = "json"


_asked: list[Form] = []  # what the command line of this process said


def form() -> Form:
    """Return the form that holds: what the command line said, else the settings; without either, text."""
    from xmsec.cli.settings import settings
    from xmsec.model.errors import ConfigError

    try:
        return _asked[0] if _asked else Form(settings().log)
    except ConfigError:  # is told by whoever needs the settings
        return Form.text


def ask(wanted: Form | None) -> None:
    """Take what the command line said for the rest of the process, or until the next command in it."""
    _asked[:] = [] if wanted is None else [wanted]


def line(text: str, level: str = "info", **more: int) -> str:
    """Write a remark in the form that holds, with its line end."""
    if form() is Form.text:
        return f"{text}\n"
    if text.startswith(_WARNING):
        text, level = text.removeprefix(_WARNING), "warning" if level == "info" else level
    return _encoded({"time": _moment(datetime.now(UTC)), "level": level, "logger": OWN, "message": text, **more}) + "\n"


def begin() -> None:
    """Make the loggers of this process write JSON lines, where that is the form."""
    if form() is Form.text:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


class JsonLines(logging.Formatter):
    """Writes a log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Write it; of an error its type alone, of another library the text as it stands in its code."""
        own = record.name.partition(".")[0] == OWN
        said: dict[str, object] = {
            "time": _moment(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage() if own else _template(record),
        }
        if not own:
            said["at"] = f"{record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            said["error"] = record.exc_info[0].__name__
        return _encoded(said)


def _template(record: logging.LogRecord) -> str:
    """Return what is constant; a text without arguments may have been put together from a record, so it is left out."""
    return str(record.msg) if record.args and isinstance(record.msg, str) else ""


def _moment(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encoded(said: Mapping[str, object]) -> str:
    return msgspec.json.encode(said).decode()
