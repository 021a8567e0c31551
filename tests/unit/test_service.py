"""The API, asked as a server asks it, over a small store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from urllib.request import urlopen

import pytest
from starlette.applications import Starlette
from tests.contract.every_store import Sqlite, outcomes
from tests.rooms import bearer, rooms

from xmsec.console.records import MOST_ROWS
from xmsec.model.ports import Page, Query, Reader
from xmsec.runtime.metrics import counted, exposition
from xmsec.runtime.service import EVERYWHERE, Serving, application


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    type: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(app: Starlette, path: str, method: str = "GET", /, **parameters: str) -> Answer:
    """Ask an application one thing over ASGI."""
    query = urlencode(parameters)
    told: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Mapping[str, Any]) -> None:
        told.append(message)

    said = getattr(app.state, "authorization", "")
    headers = [(b"host", b"127.0.0.1"), *([(b"authorization", said.encode())] if said else [])]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": quote(path).encode()}
    more = {"query_string": query.encode(), "headers": headers, "root_path": "", "scheme": "http", "server": ("here", 80)}
    with suppress(OSError):  # a server is handed what broke after the answer was given
        asyncio.run(app({**scope, **more}, receive, send))  # type: ignore[arg-type]  # mappings in place of ASGI's own types
    start, *rest = told
    body = b"".join(message.get("body", b"") for message in rest)
    return Answer(start["status"], dict(start["headers"])[b"content-type"].decode(), body.decode())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Sqlite]:
    store = Sqlite(tmp_path)
    store.commit(outcomes(60))
    yield store
    store.close()


@pytest.fixture
def app(store: Sqlite, tmp_path: Path) -> Iterator[Starlette]:
    with rooms(tmp_path, lambda: store.reader) as (kept, routes):
        app = application(lambda: counted(store.counts()), rooms=routes)
        app.state.authorization = bearer(kept)
        yield app


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_service_that_answers_is_healthy(app: Starlette, path: str) -> None:
    assert ask(app, path)[:1] == (200,)


@pytest.mark.parametrize("table", ["findings", "incidents"])
@pytest.mark.parametrize("limit", [1, 7])
def test_pages_follow_each_other_to_the_end(app: Starlette, table: str, limit: int) -> None:
    whole = ask(app, f"/api/{table}").json
    assert whole["next"] is None
    assert len(whole["rows"]) > 1
    rows: list[Any] = []
    after: dict[str, str] = {}
    for _ in range(len(whole["rows"]) + 1):
        page = ask(app, f"/api/{table}", limit=str(limit), **after).json
        assert len(page["rows"]) <= limit
        rows += page["rows"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert rows == whole["rows"]


def test_findings_are_filtered_and_the_latest_come_first(app: Starlette) -> None:
    every = ask(app, "/api/findings").json["rows"]
    assert [one["time"] for one in every] == sorted((one["time"] for one in every), reverse=True)
    detector = every[0]["detector"]
    some = ask(app, "/api/findings", detector=detector).json["rows"]
    assert some == [one for one in every if one["detector"] == detector]
    assert 0 < len(some) < len(every)


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": "0"},
        {"limit": str(MOST_ROWS + 1)},
        {"limit": "-1"},
        {"limit": "ten"},
        {"limit": "9" * 5_000},
        {"after": "not-a-cursor"},
        {"after": "W10="},
        {"after": "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTksIngiXQ=="},
        {"severity": "hihg"},
        {"kind": "rule"},
        {"state": "closed"},
        {"severty": "high"},
        {"since": "0"},
        {"since": "yesterday"},
        {"until": "0001-01-01T00:00:00+14:00"},
    ],
    ids=lambda parameters: " ".join(f"{name}={value[:20]}" for name, value in parameters.items()),
)
def test_a_bad_parameter_is_a_problem_and_no_answer(app: Starlette, parameters: dict[str, str]) -> None:
    answer = ask(app, "/api/findings", **parameters)
    assert (answer.status, answer.type) == (400, "application/problem+json")
    assert answer.json["status"] == 400
    assert answer.json["detail"]


@pytest.mark.parametrize(("path", "method", "status"), [("/api/nothing", "GET", 404), ("/api/findings", "POST", 405)])
def test_what_is_not_there_is_a_problem_too(app: Starlette, path: str, method: str, status: int) -> None:
    answer = ask(app, path, method)
    assert (answer.status, answer.type, answer.json["status"]) == (status, "application/problem+json", status)


class Broken:
    """A reader whose disk has gone; what it says of it quotes a value."""

    def page(self, query: Query, after: str | None = None) -> Page:
        raise OSError("13800138000")

    def count(self, query: Query, by: Any) -> Mapping[tuple[str, ...], int]:
        raise OSError("13800138000")


def test_what_breaks_says_no_more_than_its_kind(tmp_path: Path) -> None:
    broken: Reader = Broken()
    with rooms(tmp_path, lambda: broken) as (kept, routes):
        app = application(tuple, rooms=routes)
        app.state.authorization = bearer(kept)
        answer = ask(app, "/api/findings")
    assert (answer.status, answer.type) == (500, "application/problem+json")
    assert answer.json["detail"] == "internal error (OSError)"


def test_metrics_are_written_as_prometheus_reads_them(app: Starlette, store: Sqlite) -> None:
    answer = ask(app, "/metrics")
    assert answer.type.startswith("text/plain; version=0.0.4")
    assert answer.text == exposition(counted(store.counts()))
    assert 'xmsec_records_total{what="parsed",stream="toys.a"} ' in answer.text


def test_a_service_that_is_not_ready_says_why() -> None:
    answer = ask(application(tuple, lambda: ["the disk is full", "no such folder: /logs"]), "/readyz")
    assert (answer.status, answer.text) == (503, "the disk is full\nno such folder: /logs\n")


def test_who_is_served_everywhere_is_told_an_address_that_a_browser_goes_to() -> None:
    with Serving(application(tuple), EVERYWHERE, 0) as service, urlopen(f"{service.url}/healthz", timeout=60) as answer:
        assert (service.url.rpartition(":")[0], answer.read()) == ("http://127.0.0.1", b"ok\n")
