"""The road of the shipped content, made once: its ledger knows one dataset and one grant, one model is trained."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from tempfile import mkdtemp

from tests.command import CACHE
from tests.learned import learned
from tests.office import ZONE

from xmsec.detect.card import card
from xmsec.detect.modelfile import save
from xmsec.model.ids import digest
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Incident, Intent, Position, Raw, Tick
from xmsec.pipeline.batch import process_batch
from xmsec.pipeline.road import Road
from xmsec.runtime.assemble import assemble

ROOT = Path(__file__).parents[1]
START = datetime(2026, 3, 2, tzinfo=UTC)  # eight in the morning in Xiamen, a Monday
PERSON = "postgres://onestop-db:5432/onestop.public.person"
LEDGER = f"""
as_of: 2025-12-01T00:00:00+08:00
revision: 1
owners: [{{id: civil-affairs}}]
datasets: [{{name: "{PERSON}", system: onestop-service, owner: civil-affairs, grade: general-4}}]
grants: [{{id: G-1, grantee: w1, datasets: ["{PERSON}"], start: 2025-01-01T00:00:00+08:00}}]
"""

Record = Raw | Tick
Final = tuple[dict[str, Finding], dict[str, Incident], dict[str, Intent]]


@cache
def road() -> Road:
    """The shipped road, in a home of its own."""
    home = Path(mkdtemp(prefix="xmsec-road-"))
    CACHE.mkdir(exist_ok=True)
    (home / "cache").symlink_to(CACHE)
    (home / "ledger").mkdir()
    (home / "ledger" / "000001.yaml").write_text(LEDGER)
    model = learned("user-hour")
    save(home / "models", model, card(model))
    made = assemble([ROOT], home, b"k" * 32, ZONE)
    assert not made.problems
    assert "user-hour" in made.road.detectors
    return made.road


def run(batches: Iterable[Sequence[Record]]) -> Final:
    """Carry batches along the road; return what is told last under each id."""
    memory = Memory()
    findings: dict[str, Finding] = {}
    incidents: dict[str, Incident] = {}
    intents: dict[str, Intent] = {}
    for batch in batches:
        outcome = process_batch(batch, road(), memory)
        memory.absorb(outcome.states, outcome.clocks)
        findings.update((finding.id, finding) for finding in outcome.findings)
        incidents.update((incident.id, incident) for incident in outcome.incidents)
        intents.update((intent.id, intent) for intent in outcome.intents)
    return findings, incidents, intents


def cut(records: Sequence[Record], sizes: Iterable[int]) -> list[Sequence[Record]]:
    """Cut records into batches of these sizes, and a rest."""
    places = [0, *(place for place in accumulate(sizes) if place < len(records)), len(records)]
    return [records[start:end] for start, end in pairwise(places)]


SOURCES = (("generic.web", "a"), ("generic.web", "b"), ("onestop-service.gateway", "g"), ("onestop-service.app", "p"))
LOOK = "Mozilla/5.0 (X11; Linux x86_64)"


def _web(request: str, status: int, agent: str = LOOK, address: str = "203.0.113.7") -> str:
    return f'{address} - - [{{when:%d/%b/%Y:%H:%M:%S +0000}}] "{request} HTTP/1.1" {status} 512 "-" "{agent}"'


def _gateway(user: str, path: str) -> str:
    return (
        f'{{{{"time_iso8601":"{{when:%Y-%m-%dT%H:%M:%S+00:00}}","remote_addr":"10.32.16.{len(user)}","remote_user":"{user}",'
        f'"request_method":"GET","request_uri":"{path}","status":200,"body_bytes_sent":90000,"request_time":0.1}}}}'
    )


def _app(user: str, subject: str, address: str = "10.32.16.4", region: str = "Fujian") -> str:
    return (
        f'{{{{"ts":"{{when:%Y-%m-%dT%H:%M:%S+00:00}}","service":"onestop-portal","user":"{user}","role":"clerk",'
        f'"action":"person-lookup","result":"success","ip":"{address}","region":"{region}","subject_id":"{subject}","case_no":"XM2026{{n:012d}}"}}}}'
    )


MOBILE = "139592{n:05d}"
# what a source may bring: how often at once, how many seconds apart, and the line; {n} counts, {when} is its time
WEB: dict[str, tuple[int, int, str]] = {
    "visit": (1, 0, _web("GET /", 200)),
    "login probe": (2, 1, _web("GET /wp-login.php?id=" + MOBILE, 404)),
    "guesses": (9, 20, _web("GET /backup{n}.zip", 404)),
    "loop": (13, 300, _web("GET /files/a.jar", 404)),
    "password guesses": (21, 5, _web("POST /login", 401)),
    "scanner": (1, 0, _web("GET /?id=1%27%20union%20select%20{n}", 500, "sqlmap/1.7")),
    "burst": (45, 1, _web("GET /page/{n}", 200, address="198.51.100.9")),
    "another visitor": (3, 60, _web("GET /wp-login.php", 404, address="198.51.100.9")),
    "refused": (2, 0, "no access log {n}"),
    "blank": (1, 0, " "),
    "far future": (1, 0, '203.0.113.7 - - [01/Jan/2031:00:00:00 +0000] "GET /wp-login.php HTTP/1.1" 404 1 "-" "x"'),
}
GATEWAY: dict[str, tuple[int, int, str]] = {
    "health": (1, 0, _gateway("monitor", "/healthz")),
    "person": (2, 30, _gateway("w1", "/api/people/" + MOBILE)),
    "mass": (60, 10, _gateway("w22", "/api/people/350203199003{n:06d}")),
    "refused": (1, 0, "{{"),
}
APP: dict[str, tuple[int, int, str]] = {
    "granted": (2, 30, _app("w1", MOBILE)),
    "not granted": (2, 30, _app("w22", MOBILE)),
    "mass": (64, 20, _app("w22", MOBILE)),
    "no look-up": (
        1,
        0,
        _app("w1", "").replace("person-lookup", "case-list").replace(',"subject_id":"","case_no":"XM2026{n:012d}"', ""),
    ),
    "elsewhere": (2, 5, _app("w1", MOBILE, "203.0.113.50", "Hebei")),
}
POOL = {"generic.web": WEB, "onestop-service.gateway": GATEWAY, "onestop-service.app": APP}


def lines(stream: str, name: str, when: datetime, first: int) -> list[bytes]:
    """The lines of one item, from a moment on."""
    times, apart_s, pattern = POOL[stream][name]
    return [
        pattern.format(n=first + number, when=when + timedelta(seconds=number * apart_s)).encode() for number in range(times)
    ]


def partition(source: tuple[str, str], items: Sequence[tuple[int, int, str, int | None]]) -> list[Record]:
    """A partition that opens, brings items (minutes on, minutes back, name, an idle tick's seconds or None), and ends.

    It is never idle before the first event that moves its clock: time may then pass without it, and what it brings is no later.
    """
    records: list[Record] = [Tick(*source, START, "open")]
    minute = offset = 0
    moved = False
    received = START
    for on, back, name, idle_s in items:
        minute += on
        received = max(received, START + timedelta(minutes=minute))
        for line in lines(source[0], name, START + timedelta(minutes=minute - back), offset):
            records.append(Raw(Position(*source, offset), received, line))
            offset += 1
        moved = moved or name not in ("blank", "refused", "far future")
        if idle_s is not None and moved:
            received += timedelta(seconds=idle_s)
            records.append(Tick(*source, received, "idle"))
    return [*records, Tick(*source, START + timedelta(days=30), "ended")]


def main() -> None:
    """Print a digest of what the road finds in a fixed traffic: for a process with another hash seed."""
    parts = [
        partition(source, [(7 * turn % 50, turn % 9, name, 60 if turn % 4 == 0 else None) for turn, name in enumerate(names)])
        for source in SOURCES
        for names in [sorted(POOL[source[0]]) * 3]
    ]
    records = [part[0] for part in parts] + [record for part in parts for record in part[1:]]
    findings, incidents, intents = run(cut(records, [97] * (len(records) // 97)))
    for told in (findings, incidents, intents):
        print(len(told), digest(*(f"{name}={told[name]!r}" for name in sorted(told))))
    print(*sorted({finding.detector for finding in findings.values()}))


if __name__ == "__main__":
    sys.exit(main())
