"""A step's texts become a line of its stream's native form: compiled once, filled many times.

A compiled line is a `%`-format with the slots that fill it in their order. Fixed text is escaped here for its form; what fills
a slot (values, addresses, accounts) never holds a quote, a backslash or a separator.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from random import Random

import msgspec

from xmsec.content.scenario import SLOT, Choice, StreamUse, Value
from xmsec.simulate.calendar import Calendar, Stamp

BACKENDS = 24  # connections of the application's pool; each is one server process with one session id
FIRST_PID = 41_200

Chooser = Callable[[Random], str]
Quote = Callable[[str], str]


class Line(msgspec.Struct, frozen=True):
    """One line to be written: its format, the slots that fill it, what is chosen for it, and how its moment is written."""

    stream: str
    text: str
    slots: tuple[str, ...]
    choices: tuple[tuple[str, Chooser], ...]
    stamps: tuple[tuple[str, Stamp], ...]


def compile_line(name: str, use: StreamUse, fields: Mapping[str, Value], calendar: Calendar) -> Line:
    """Compile the line that a step writes to a stream; `fields` lie over what every line of the stream says."""
    made = _Writing()
    text = FORMS[use.format](made, {**use.fields, **fields}, calendar)
    parts = re.split(r"\x00([^\x00]+)\x00", text)
    slots = tuple(parts[1::2])
    stamp = calendar.stamp(STAMPS[use.format])
    stamps = {"time": stamp, "epoch": calendar.epoch, "date": calendar.day, "serial": lambda ms: str(ms // 1000)}
    return Line(
        name,
        "%s".join(part.replace("%", "%%") for part in parts[::2]),
        slots,
        tuple((slot, made.choices[slot]) for slot in dict.fromkeys(slots) if slot in made.choices),
        tuple((slot, stamps[slot]) for slot in dict.fromkeys(slots) if slot in stamps),
    )


class _Writing:
    """Turns values into text, slots between NULs; collects what has to be chosen for each line."""

    def __init__(self) -> None:
        self.choices: dict[str, Chooser] = {}

    def text(self, field: str, value: Value, quote: Quote = str) -> str:
        if isinstance(value, Choice):
            self.choices[f"={field}"] = _chooser(value, quote)
            return f"\x00={field}\x00"
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return "".join(f"\x00{part}\x00" if odd % 2 else quote(part) for odd, part in enumerate(SLOT.split(text)))


def _chooser(choice: Choice, quote: Quote) -> Chooser:
    if choice.between is not None:
        low, high = choice.between
        span, unit = high - low + 1, 10**choice.decimals
        if choice.decimals:
            form = f"%.{choice.decimals}f"
            return lambda rng: form % ((low + int(rng.random() * span)) / unit)
        return lambda rng: str(low + int(rng.random() * span))
    options = [quote(option) for option in choice.pick]
    bounds = list(accumulate(choice.pick.values()))
    return lambda rng: rng.choices(options, cum_weights=bounds)[0]


def _json(made: _Writing, fields: Mapping[str, Value], _: Calendar) -> str:
    """Write one object; a field without text is left out."""
    told = ((key, value) for key, value in fields.items() if value != "")
    return "{" + ",".join(f"{json.dumps(key)}:{_json_value(made, key, value)}" for key, value in told) + "}"


def _json_value(made: _Writing, key: str, value: Value) -> str:
    bare = isinstance(value, bool | int | float) or (
        isinstance(value, Choice) and (value.between is not None or all(option.isdigit() for option in value.pick))
    )
    text = made.text(key, value, lambda part: json.dumps(part, ensure_ascii=False)[1:-1])
    return text if bare else f'"{text}"'


def _pgaudit(made: _Writing, fields: Mapping[str, Value], calendar: Calendar) -> str:
    """Write a csvlog row of PostgreSQL 14 and later (26 columns) with pgaudit's message.

    https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-CSVLOG
    """
    text = {key: made.text(key, value, lambda part: part.replace('"', '""""')) for key, value in fields.items()}
    backend = _Backend(f"{calendar.epoch_ms // 1000:x}")
    made.choices |= {"=pid": backend.pid, "=port": backend.port, "=session": backend.session}
    started = calendar.stamp("postgres")(0).replace(".000", "")
    statement = text["statement"]
    if any(separator in statement for separator in ',"\n'):
        statement = f'""{statement}""'
    audit = f"AUDIT: SESSION,1,1,{text['class']},{text['command']},{text['object_type']},{text['object']}"
    return (
        f'\0time\0,"{text["user"]}","{text["database"]}",\0=pid\0,"{text["address"]}:\0=port\0",\0=session\0,\0serial\0,'
        f'"{text["command"]}",{started},,0,LOG,00000,"{audit},{statement},<not logged>",,,,,,,,,"{text["application"]}",'
        f'"client backend",,0'
    )


class _Backend:
    """The server process that takes a statement; its port and session are those of the process drawn last."""

    def __init__(self, started: str) -> None:
        self._started = started
        self._pid = FIRST_PID

    def pid(self, rng: Random) -> str:
        self._pid = FIRST_PID + 7 * int(rng.random() * BACKENDS)
        return str(self._pid)

    def port(self, _: Random) -> str:
        return str(self._pid - 1000)

    def session(self, _: Random) -> str:
        return f"{self._started}.{self._pid:x}"


FORMS: Mapping[str, Callable[[_Writing, Mapping[str, Value], Calendar], str]] = {
    "json": _json,
    "pgaudit": _pgaudit,
}
STAMPS = {"json": "rfc3339", "pgaudit": "postgres"}
