"""Traffic full of known values goes through every command; then the whole home and all output are searched for each of them."""

from __future__ import annotations

import base64
import json
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow.parquet as pq
import pytest
from tests import toys
from tests.command import XMSEC, environment, rows, xmsec

from xmsec.model.types import Context, Event, Finding, Key, Parsed, Position, Raw, Span, Tick
from xmsec.runtime.embedded import Embedded
from xmsec.runtime.service import exposition
from xmsec.runtime.summary import Tally
from xmsec.store.recording import Recording
from xmsec.store.sqlite import SqliteStore

pytestmark = pytest.mark.faults

MOBILE = "13959212345"
VALUES = {
    "CN_RESIDENT_ID": "350203199003071236",
    "CN_MOBILE": MOBILE,
    "CN_BANK_CARD": "6228480402564890018",
    "CN_USCC": "91350200MA00000310",
    "CN_PLATE": "闽DA8K27",
    "EMAIL_ADDRESS": "lin.xiaoyu@example.org",
    "IP_ADDRESS": "112.48.193.77",
    "CN_CERTIFICATE_ID": "1.2.156.3005.2.A12425.GABC.1234.002.M",
    "SECRET_TOKEN": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMzk1OSJ9.c2lnbmF0dXJlMTM5",
}
FORGED = "⟨CN_MOBILE:0011223344556677⟩"
WIDE = {ord(character): ord(character) + 0xFEE0 for character in "0123456789"}


def every_byte(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


WAYS: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "percent": every_byte,
    "twice": lambda value: quote(every_byte(value)),
    "wide": lambda value: value.translate(WIDE),
}
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"


def combined(way: Callable[[str], str], value: str) -> Iterator[str]:
    """Every place of an access log's line that may hold a text. The URLs are such that rules fire and keep evidence."""
    v, ip = way(value), value == VALUES["IP_ADDRESS"]

    def line(request: str, referrer: str = "-", agent: str = AGENT, user: str = "-", tail: str = "") -> str:
        return f'203.0.113.9 - {user} [24/Nov/2025:08:00:00 +0800] "{request}" 404 512 "{referrer}" "{agent}"{tail}'

    yield line(f"GET /wp-login.php?id={v} HTTP/1.1")
    yield line(f"GET /wp-login.php?{v} HTTP/1.1")
    yield line(f"GET /people/{v}/wp-login.php HTTP/1.1")
    yield line(f"GET /wp-login.php?q=select%20*%20from%20t%20where%20a='{v}'%20union%20select HTTP/1.1")
    yield line(f"POST http://portal.example/x?to={v} HTTP/1.1")
    yield line(f"{v} is no request")
    yield line(f"GET /.env?x={v} HTTP/1.1", referrer=f"https://portal.example/p/{v}")
    yield line("GET / HTTP/1.1", referrer=f"https://portal.example/?who={v}&b=1")
    yield line("GET / HTTP/1.1", agent=f"sqlmap/1.0 {v}")
    yield line("GET / HTTP/1.1", tail=f' "{v}" rt=0.1')
    if not ip:  # who acts stays readable, and an address that logs in is an actor
        yield line("GET / HTTP/1.1", user=v)


def as_json(way: Callable[[str], str], value: str) -> Iterator[str]:
    """An nginx log in JSON, with the headers that people add."""
    v = way(value)
    for field in (
        "request_uri",
        "http_referer",
        "http_user_agent",
        "http_x_forwarded_for",
        "request_id",
        "args",
        "http_cookie",
    ):
        said = f"/wp-login.php?id={v}" if field in ("request_uri", "http_referer") else v
        yield _nginx(**{field: said})
    if value != VALUES["IP_ADDRESS"]:
        yield _nginx(remote_user=v)


def _nginx(**more: str) -> str:
    document = {"time_iso8601": "2025-11-24T08:00:00+08:00", "remote_addr": "203.0.113.9", "request_method": "GET"}
    return json.dumps({**document, "request_uri": "/", "status": 404, "body_bytes_sent": 12, **more}, ensure_ascii=False)


def audit(way: Callable[[str], str], value: str) -> Iterator[str]:
    """PostgreSQL's CSV log: statements, names, messages, details."""
    v = way(value).replace('"', '""')

    def line(user: str = "app", database: str = "people", what: str = "", detail: str = "", program: str = "psql") -> str:
        return (
            f'2025-11-24 08:00:00.000 CST,"{user}","{database}",4711,"10.1.2.3:50112",6563a1b2.1267,3,"SELECT",'
            f'2025-11-24 07:59:00 CST,5/12,0,ERROR,42601,"{what}","{detail}",,,,,,,,"{program}","client backend",,0'
        )

    def session(statement: str, name: str = "public.person") -> str:
        return line(what=f'AUDIT: SESSION,1,1,READ,SELECT,TABLE,{name},""{statement}"",<not logged>')

    yield session(f"select name from person where a = '{v}'")
    yield session(f"select * from person where a in ('{v}','x') -- {v}")
    yield session("select 1", name=f'public.""{v}""')
    yield line(what=f"statement: update t set a = '{v}'")
    yield line(what=f'duplicate key value: ""{v}""', detail=f"Key (a)=({v}) already exists.")
    yield line(what="x", program=v)
    if value != VALUES["IP_ADDRESS"]:
        yield line(what="x", user=v)
        yield line(what="x", database=v)


def messages(way: Callable[[str], str], value: str) -> Iterator[str]:
    """System messages."""
    v = way(value)
    yield f"<34>Nov 20 22:14:15 host su[230]: user said {v} again"
    yield f"Nov 20 22:14:15 host su[230]: a={v};b=2"
    yield f"2025-11-24T08:00:00+08:00 host app: /x?who={v}&a=1"
    yield f"<34>Nov 20 22:14:15 {v}"
    if value != VALUES["IP_ADDRESS"]:
        yield f"Nov 20 22:14:15 host {v}[1]: x"
        yield f"Nov 20 22:14:15 {v} su[1]: x"


FIELDS = (
    *(
        "message",
        "url.original",
        "url.path",
        "url.query",
        "user.name",
        "user.email",
        "source.domain",
        "labels.note",
        "event.id",
    ),
    *("event.category", "event.outcome", "http.request.method", "http.response.status_code", "source.port", "process.pid"),
    *("source.ip", "host.mac", "log.level", "event.action", "file.path", "http.request.headers.x-forwarded-for", "tags"),
)


def documents(way: Callable[[str], str], value: str) -> Iterator[str]:
    """ECS documents: every kind of field, lists, objects in lists, keys, numbers."""
    v = way(value)
    readable = value == VALUES["IP_ADDRESS"]
    for field in FIELDS:
        if not (readable and field in ("source.ip", "host.mac", "user.name")):  # actors stay readable
            yield _ecs({field: v})
    yield _ecs({"a": [v, {"b": v}, [v]], "c": {"d": {"e": v}}})
    yield _ecs({v: "x", "m": {v: {v: 1}}})
    yield _ecs({f"x {v} y": v})
    if not readable and "@" not in value:  # dots and letters go on where an address or a domain ends
        yield _ecs({f"a.{v}.b": 1, "file.path": f"/srv/{v}.pdf"})
    if value.isdigit() and way is WAYS["plain"]:
        for number in (int(value), -int(value), float(value)):
            yield _ecs({"n": number, "l": [number], "o": {"p": number}})
        for field in ("source.port", "http.response.status_code", "process.pid", "log.syslog.priority"):
            yield _ecs({field: int(value)})


def _ecs(more: dict[str, Any]) -> str:
    return json.dumps({"@timestamp": "2025-11-24T08:00:00Z", **more}, ensure_ascii=False)


FORMATS = {"web": combined, "nginx": as_json, "postgresql": audit, "syslog": messages, "ecs": documents}


def traffic(folder: Path) -> list[Path]:
    """Write a file a format: each value in each place, written in each way; and records that are refused."""
    paths = []
    for name, places in FORMATS.items():
        lines = [line for way in WAYS.values() for value in VALUES.values() for line in places(way, value)]
        refused = [f"{value} fits no format at all {{" for value in VALUES.values()]
        path = folder / f"{name}.log"
        path.write_text("\n".join([*lines, *refused]) + "\n", "utf-8", newline="")
        paths.append(path)
    return paths


def needles() -> dict[bytes, str]:
    """Each value as it could be written, by what it is."""
    found: dict[bytes, str] = {}
    for kind, value in VALUES.items():
        wide = value.translate(WIDE)
        for text in {value, wide, value.lower(), value.upper()}:
            plain = text.encode()
            written = [plain, json.dumps(text).strip('"').encode(), text.encode("utf-16-le"), text.encode("utf-16-be")]
            written += [plain.hex().encode(), plain.hex().upper().encode(), every_byte(text).encode()]
            written += [every_byte(text).lower().encode(), quote(text, safe="").encode()]
            for shift in range(3):
                coded = base64.b64encode(b"\0" * shift + plain)
                written.append(coded[(0, 2, 3)[shift] : len(coded) // 4 * 4 - 4])
            found.update((needle, kind) for needle in written)
    return found


NEEDLES = needles()


def leaks(haystack: bytes) -> set[tuple[str, bytes]]:
    return {
        (kind, haystack[max(at - 40, 0) : at + 60]) for needle, kind in NEEDLES.items() if (at := haystack.find(needle)) >= 0
    }


def held(home: Path) -> Iterator[tuple[str, bytes]]:
    """All that a home holds: every file as it is, the store's tables and the recordings' columns as they are read."""
    for path in sorted(path for path in home.rglob("*") if path.is_file()):
        yield str(path), path.read_bytes()
        if path.suffix == ".parquet":
            yield f"columns of {path}", repr(pq.read_table(path).to_pydict()).encode("utf-8", "surrogatepass")
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in store.execute(f"SELECT * FROM {name}"):
                yield name, b"\0".join(part if isinstance(part, bytes) else str(part).encode() for part in row)


def assert_clean(home: Path) -> None:
    for where, content in held(home):
        assert not leaks(content), where


def test_the_search_finds_what_it_seeks() -> None:
    for value in VALUES.values():
        plain = value.encode()
        for written in (
            plain,
            plain.hex().encode(),
            every_byte(value).encode(),
            *(base64.b64encode(b"x" * n + plain) for n in range(3)),
        ):
            assert leaks(b"a" + written + b"z")


def test_no_value_leaves_the_classify_leg(home: Path, tmp_path: Path) -> None:
    paths = traffic(tmp_path)
    summary = home / "summary.json"
    scan = xmsec("scan", *paths, "--home", home, "--format", "jsonl", "--summary", summary, "--debug")
    assert scan.returncode == 0, scan.stderr
    incidents = xmsec("incidents", "list", "--home", home, "--format", "jsonl")
    shown = [xmsec("incidents", "show", row["id"], "--home", home, "--debug") for row in rows(incidents.stdout)[:2]]
    ran = [scan, incidents, *shown, xmsec("scan", *paths, "--home", home, "--format", "table")]
    ran += [xmsec("parse", path, "--home", home, "--debug") for path in paths]
    ran += [xmsec("replay", "--home", home, "--format", form) for form in ("jsonl", "table")]
    ran += [xmsec("dead", "list", "--home", home, "--format", form) for form in ("jsonl", "table")]
    ran += [xmsec("playbook", "list", "--home", home), xmsec("ledger", "show", "--home", home)]
    for done in ran:
        assert done.returncode == 0, (done.args, done.stderr)
        assert not leaks(done.stdout), done.args
        assert not leaks(done.stderr), done.args
    counted = json.loads(summary.read_bytes())
    assert counted["tokens"].keys() >= VALUES.keys()
    assert counted["parsed"] > 1_500
    assert any(one["evidence"] for one in rows(scan.stdout))
    assert_clean(home)
    with closing(SqliteStore(home / "store.sqlite", {})) as store:
        assert not leaks(exposition(store.counts()).encode())


def test_what_a_dead_process_leaves_holds_no_value(home: Path, tmp_path: Path) -> None:
    content = b"".join(path.read_bytes() for path in traffic(tmp_path)[:1])
    scan = ("scan", "-", "--home", str(home), "--stream", "generic.web", "--summary", str(tmp_path / "summary.json"))
    life = subprocess.Popen([*XMSEC, *scan], stdin=subprocess.PIPE, env=environment())
    assert life.stdin is not None
    while not (tmp_path / "summary.json").exists() or not json.loads((tmp_path / "summary.json").read_bytes())["lines"]:
        assert life.poll() is None
        life.stdin.write(content)
        life.stdin.flush()
    life.kill()
    life.communicate()
    assert list((home / "recordings").glob("*.open"))
    assert_clean(home)


def test_classify_shows_masks_and_errors_show_nothing(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"值 {value} 在此" for value in VALUES.values()) + "\n", "utf-8")
    done = xmsec("classify", path, "--home", home, "--debug")
    assert done.returncode == 0, done.stderr
    assert {one["type"] for row in rows(done.stdout) for one in row["entities"]} >= VALUES.keys()
    assert not leaks(done.stdout)
    assert not leaks(done.stderr)


@pytest.mark.parametrize("way", ["plain", "percent", "twice"])
def test_a_forged_token_in_a_url_stays_text(way: str, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    written = WAYS[way](FORGED)
    path.write_text("\n".join(combined(lambda _: written, "")) + "\n", "utf-8")
    done = xmsec("parse", path, "--home", home)
    found = [row for row in rows(done.stdout) if "0011223344556677" in json.dumps(row)]
    assert len(found) == len(path.read_text("utf-8").splitlines())
    for row in found:
        assert row["spans"] == []
        assert "⟨" not in json.dumps(row, ensure_ascii=False)
        assert "‹CN_MOBILE:0011223344556677›" in json.dumps(row, ensure_ascii=False)


class Breaks(toys.Each):
    """A detector that a record breaks, with the record's own value in the error."""

    id = "test-breaks"

    def step(self, states: Any, batch: Sequence[tuple[Key, Context]]) -> tuple[dict[Key, None], list[Finding]]:
        raise ValueError(f"cannot work with {MOBILE}: {batch[0][1].event.fields}")

    def keys(self, context: Context) -> Sequence[Key]:
        return (Key("user", "any"),)


def breaking(leg: str) -> Any:
    """A road of which one leg raises with a value in its error."""

    def parse(raw: Raw) -> Parsed | None:
        if leg == "parse":
            raise ValueError(f"no such line: {raw.line!r}")
        return toys.parse(raw)

    def classify(batch: Sequence[Parsed]) -> Sequence[tuple[Event, tuple[Span, ...]]]:
        if leg == "classify":
            raise KeyError(batch[0].fields["user.id"])
        clean = [msgspec.structs.replace(one, fields={**one.fields, "user.id": "⟨CN_MOBILE:0⟩"}) for one in batch]
        return toys.classify(clean)

    detectors: dict[str, Any] = {"test-breaks": Breaks()} if leg == "detect" else {}
    return msgspec.structs.replace(toys.road(), parse=parse, classify=classify, detectors=detectors)


@pytest.mark.parametrize("leg", ["parse", "classify", "detect"])
def test_a_leg_that_raises_with_a_value_in_its_error_leaks_none(
    leg: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    line = json.dumps({"t": 1, "user": MOBILE, "action": "forbidden"}).encode()
    records: list[Raw | Tick] = [
        Raw(Position("toys.a", "0", offset), now + timedelta(seconds=offset), line) for offset in range(3)
    ]
    with closing(SqliteStore(tmp_path / "store.sqlite", {"test-breaks": type(None), "incidents": Any})) as store:
        ticks = count()
        recording = Recording(tmp_path / "recordings", None)
        for _ in Embedded(breaking(leg), store, [Tally({}), recording], lambda: float(next(ticks))).drive([records]):
            pass
        refused = store.connection.execute("SELECT leg, reason, total FROM dead_totals").fetchall()
        assert not leaks(exposition(store.counts()).encode())
    assert [(name.partition(":")[0], reason.partition(":")[0], total) for name, reason, total in refused] == [
        (leg, "broken", 3)
    ]
    assert_clean(tmp_path)
    assert not leaks("".join(capfd.readouterr()).encode())
