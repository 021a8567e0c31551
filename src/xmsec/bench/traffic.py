"""Three fixed mixes of web traffic: a real server's log, and the same log with a value in some or in every line.

The log is a part of a real one (see `NOTICE.md` beside it); repeated, its days go on, so that event time flows. Values are
different in every line, as far as there are enough (of number plates there are some 300,000), and valid by their standards'
checks; they stand in the path, in the query, or in a JSON line.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import msgspec

from xmsec.simulate.values import bank_card, certificate_id, email, mix, mobile, plate, resident_id, uscc

LOG = Path(__file__).parent / "apache_access_sample.log.gz"
STREAM = "generic.web"
FIRST_DAY, DAYS = date(2015, 5, 17), 4  # of the log
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SEED = 20150517


class Mix(msgspec.Struct, frozen=True):
    """A mix: in how many of a hundred lines a value stands."""

    name: str
    valued_pct: int


MIXES = (Mix("real_log", 0), Mix("value_in_30_pct", 30), Mix("value_in_all", 100))


def _address(bits: int) -> str:
    return f"10.{bits >> 8 & 255}.{bits >> 16 & 255}.{bits >> 24 & 255}"


VALUES: Sequence[tuple[str, Callable[[int], str]]] = (
    ("sfzh", resident_id),
    ("mobile", mobile),
    ("email", email),
    ("card", bank_card),
    ("plate", lambda bits: quote(plate(bits))),
    ("uscc", uscc),
    ("certificate", lambda bits: certificate_id(bits % 10**7)),
    ("host", _address),
)


@cache
def real_log() -> Sequence[str]:
    """Return the lines of the real log."""
    return gzip.decompress(LOG.read_bytes()).decode("utf-8", "surrogateescape").splitlines()


def lines(mix_of: Mix, events: int, start: int = 0) -> Iterator[bytes]:
    """Yield so many lines of a mix, from its line number `start` on; other lines hold other values."""
    for number in range(start, start + events):
        line = _later(number)
        if number * mix_of.valued_pct % 100 < mix_of.valued_pct:
            line = _valued(line, number)
        yield line.encode("utf-8", "surrogateescape")


def newcomers(events: int, per_s: int) -> Iterator[bytes]:
    """Yield lines of which each names a new person and comes from a new address, so many in a second of event time."""
    for number in range(events):
        bits = mix(SEED, number)
        minute, second = divmod(number // per_s, 60)
        hour, minute = divmod(minute, 60)
        moment = f"{_written(FIRST_DAY + timedelta(days=hour // 24))}:{hour % 24:02}:{minute:02}:{second:02} +0800"
        address = f"{number >> 16 & 63 | 64}.{number >> 8 & 255}.{number & 255}.{bits & 255}"
        yield f'{address} - - [{moment}] "GET /person?sfzh={resident_id(bits)} HTTP/1.1" 200 512 "-" "curl/8.5.0"'.encode()


def write(path: Path, found: Iterator[bytes]) -> None:
    """Write lines to a file."""
    with path.open("wb", buffering=1 << 20) as file:
        while some := list(islice(found, 10_000)):
            file.write(b"\n".join(some) + b"\n")


def _later(number: int) -> str:
    """Return a line of the log, repeated as often as it must be, each time four days later."""
    log = real_log()
    turn, at = divmod(number, len(log))
    line = log[at]
    if not turn:
        return line
    day, month = int(line.partition("[")[2][:2]), line.partition("/")[2][:3]
    head, _, rest = line.partition(f"[{day:02}/{month}/2015")
    return f"{head}[{_written(date(2015, 5, day) + timedelta(days=turn * DAYS))}{rest}"


def _written(day: date) -> str:
    return f"{day.day:02}/{MONTHS[day.month - 1]}/{day.year}"


def _valued(line: str, number: int) -> str:
    """Put a value into a line: into its path, its query, or the line as JSON with the value in the body."""
    bits = mix(SEED, number)
    name, make = VALUES[number % len(VALUES)]
    value = make(bits)
    head, _, rest = line.partition('"')
    method, _, target = rest.partition(" ")
    place = bits % 3
    if place == 0:
        return f'{head}"{method} /{name}/{value}{target}'
    if place == 1:
        path, space, tail = target.partition(" ")
        return f'{head}"{method} {path}{"&" if "?" in path else "?"}{name}={value}{space}{tail}'
    return _as_json(line, f'{{"{name}":"{value}"}}')


def _as_json(line: str, body: str) -> str:
    """Write a line as nginx writes JSON."""
    head, request, answer, referrer, _, agent, *_ = line.split('"') + [""] * 3
    status, size = [*answer.split(), "", ""][:2]
    address, _, _, day, zone = head.split()[:5]
    written = {
        "time_local": f"{day[1:]} {zone[:-1]}",
        "remote_addr": address,
        "request": request,
        "status": status,
        "body_bytes_sent": "0" if size == "-" else size,
        "http_referer": referrer,
        "http_user_agent": agent,
        "request_body": body,
    }
    return json.dumps(written, ensure_ascii=False)
