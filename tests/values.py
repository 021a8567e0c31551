"""Known values in every place of every format, written in every way; and the search that finds them wherever they come out."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

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
