"""Pages at the server beside the plain query, and what each page that waits for news costs, while findings arrive."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import IO, Any

import msgspec

from xmsec.bench.console.crowd import PEOPLE, Some, crowd, finding
from xmsec.bench.console.visit import Answer, Listeners, Site, timed, visit
from xmsec.model.errors import ServiceError

VISITS = 30
TICK_S = 0.1
END_S = 30.0
PAGES: Mapping[str, str] = {
    "list": "/findings",
    "list_of_a_severity": "/findings?severity=critical",
    "list_of_a_status": "/findings?status=closed",
    "list_of_a_person": f"/findings?entity.id=user-{PEOPLE // 2:05}",
    "list_by_words": f"/findings?q=user-{PEOPLE // 2:05}",
    "facets": "/findings/facets",
    "situation": "/situation",
    "situation_of_a_month": "/situation?span=month",
    "incidents": "/incidents",
    "incidents_gravest": "/incidents?order=-severity",
    "incidents_of_a_system": "/incidents?system=system-01",
    "incident_facets": "/incidents/facets",
}


class Asked(msgspec.Struct, frozen=True):
    """How much is measured. clients: pages that wait for news, one run for each number; per_s: findings that arrive."""

    findings: int
    clients: Sequence[int]
    seconds: float
    per_s: int = 100


class Given(msgspec.Struct, frozen=True):
    """What is measured. serve: the command, which says `ready URL`; put: writes to its store; plain: the list's bare query."""

    store: str
    serve: Sequence[str]
    env: Mapping[str, str]
    secret: str
    put: Callable[[Some], None]
    plain: Callable[[], object]


Say = Callable[[str], None]


def console(given: Given, asked: Asked, say: Say) -> dict[str, Any]:
    """Fill the store, then look at pages and at news."""
    say(f"writing {asked.findings} findings")
    begun_s = time.monotonic()
    for some in crowd(asked.findings, datetime.now(UTC)):
        given.put(some)
    write_us = round((time.monotonic() - begun_s) / asked.findings * 1e6)
    with _served(given) as (process, site):
        say("pages")
        found: dict[str, Any] = {"store": given.store, "findings": asked.findings, "write_us": write_us}
        found["plain_query"] = _plain(given)
        found["pages"] = {name: visit(site, path, VISITS) for name, path in PAGES.items()}
        found["news"] = [_news(given, asked, process, site, number, say) for number in (0, *asked.clients)]
    found["machine"] = {"cores": os.cpu_count(), "load": os.getloadavg()}
    return found


def _plain(given: Given) -> Answer:
    taken_ms = []
    for _ in range(VISITS + 1):
        begun_s = time.perf_counter()
        given.plain()
        taken_ms.append((time.perf_counter() - begun_s) * 1e3)
    return timed(taken_ms[1:])


def _news(given: Given, asked: Asked, process: subprocess.Popen[bytes], site: Site, number: int, say: Say) -> dict[str, Any]:
    """Let findings arrive while so many pages wait: processor time of the server, and how many findings pages were told of."""
    say(f"{asked.per_s} findings a second, {number} pages")
    with closing(Listeners(site, number)) as pages:
        pages.wait()
        begun_s, used_s = time.monotonic(), _used_s(process.pid)
        arrived = _arrive(given, asked, f"news-{number}")
        took_s = time.monotonic() - begun_s
        cpu_percent = 100 * (_used_s(process.pid) - used_s) / took_s
        return {
            "clients": number,
            "arrived_per_s": round(arrived / took_s, 1),
            "told": round(pages.news() / max(1, number)),
            "arrived": arrived,
            "cpu_percent": round(cpu_percent, 1),
        }


def _arrive(given: Given, asked: Asked, name: str) -> int:
    """Write findings at a pace; return how many."""
    begun_s, number = time.monotonic(), 0
    while (passed_s := time.monotonic() - begun_s) < asked.seconds:
        due = int(passed_s * asked.per_s)
        if due > number:
            now = datetime.now(UTC)
            given.put(Some([finding(each, now, name) for each in range(number, due)], ()))
            number = due
        time.sleep(TICK_S)  # findings arrive by the clock: this is the load, and waits for nothing
    return number


@contextmanager
def _served(given: Given) -> Iterator[tuple[subprocess.Popen[bytes], Site]]:
    process = subprocess.Popen(given.serve, env={**os.environ, **given.env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        url = _ready(process.stderr)
        Thread(target=process.stderr.read, daemon=True).start()  # a full pipe must not hold it up
        yield process, Site(url, given.secret)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


def _ready(said: IO[bytes]) -> str:
    last = b""
    for line in said:
        if line.startswith(b"ready "):
            return line.removeprefix(b"ready ").strip().decode()
        last = line
    raise ServiceError(f"did not start ({last.decode().strip()})", where="bench console", remedy="see what it said")


def _used_s(pid: int) -> float:
    """Seconds of processor that a process has used. Raises ServiceError where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise ServiceError("this system does not say what a process used", where="/proc", remedy="run it on Linux") from error
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
