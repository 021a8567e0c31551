"""Every route that is described, asked by every role for its own systems and for foreign ones: answered as `access` says.

A route that is added is asked, too: path and permission are read off `/api/openapi.json`. What anybody may ask is named here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from tests.contract.every_store import Sqlite
from tests.rooms import Clock, answering, bearer, furnished
from tests.unit.test_console_guard import Answer, Asking

from xmsec.console.access import HOLDS, PERMISSIONS, ROLES, Role
from xmsec.console.app import house, routes
from xmsec.console.given import Records
from xmsec.console.openapi import document
from xmsec.console.texts import catalogue
from xmsec.model.ports import Acts, Query
from xmsec.runtime.declared import INGEST
from xmsec.runtime.exceptions import Shelf
from xmsec.runtime.service import application
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections

OPEN = {
    *("/healthz", "/readyz", "/metrics"),
    *("/login", "/static/{name}", "/welcome/{secret}", "/join/{secret}", "/enter/{secret}"),
    *("/sso", "/sso/callback"),
}
BODIES: Mapping[str, Any] = {  # of each type that a route takes
    "Triage": {"status": "closed"},
    "Remark": {"text": "seen"},
    "Parts": {"incidents": ["x"]},
    "Chosen": {"findings": ["x"]},
    "Begin": {"playbook": "contain-account"},
    "Approval": {"step": "x", "entries": 1},
    "Refusal": {"step": "x", "entries": 1, "why": "x"},
    "Resumption": {},
}
RECORD = re.compile(r"(/api)?/(findings|incidents)/\{id\}")
OWN, FOREIGN = "toys", "elsewhere"


class Route(NamedTuple):
    """One route with its method, as it is described."""

    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def permission(self) -> str:
        return str(self.described["x-permission"])


class Scene(NamedTuple):
    """A console over the toys' records."""

    ask: Asking
    store: Sqlite
    acts: Acts
    finding: str
    incident: str

    def routes(self) -> list[Route]:
        paths = document(self.ask.app.routes)["paths"]
        return [Route(method.upper(), path, found) for path, methods in paths.items() for method, found in methods.items()]

    def send(self, route: Route, token: str) -> Answer:
        """Ask a route for the toys' first finding or incident, in whatever form it takes."""
        record = self.incident if "/incidents" in route.path else self.finding
        path = re.sub(r"\{\w+\}", "x", route.path.replace("{id}", record))
        if route.method == "GET":
            return self.ask.send("GET", f"{path}?id={record}" if "exceptions" in path else path, authorization=token)
        body, kind = self._body(route)
        return self.ask.send(route.method, path, body, authorization=token, content_type=kind)

    def _body(self, route: Route) -> tuple[bytes, str]:
        taken = route.described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if taken is not None:
            return json.dumps(BODIES[taken["$ref"].rpartition("/")[2]]).encode(), "application/json"
        form = {"id": self.finding, "finding": self.finding, "action": "close", "text": "seen", "name": "x", "reason": "known"}
        return urlencode(form).encode(), "application/x-www-form-urlencoded"

    def said(self) -> list[tuple[Any, ...]]:
        """What people have said of records."""
        pages = (self.store.reader.page(Query(table, limit=1_000, excepted=True)) for table in ("findings", "incidents"))
        rows = [(row["id"], row["status"], row["assignee"], row.get("exception")) for page in pages for row in page.rows]
        return [*rows, *((act.id,) for act in self.acts.of(self.incident))]


def _reader(connections: Connections) -> SqliteReader:
    return SqliteReader(connections.mine())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = Clock()
    with furnished(tmp_path, clock) as (store, connections, kept):
        acts, means = answering(connections, clock)
        records = Records(partial(_reader, connections), acts, means, UTC, exceptions=Shelf((), tmp_path))
        shared = house(records, kept, clock, per_minute=100_000)
        shared.live.end()  # else live news would be read for ever
        ask = Asking(kept, application(tuple, rooms=routes(shared)), clock)
        first = {table: store.reader.page(Query(table, limit=1)).rows[0]["id"] for table in ("findings", "incidents")}
        yield Scene(ask, store, acts, first["findings"], first["incidents"])


def test_every_route_has_a_rule_and_what_anybody_may_ask_is_named(scene: Scene) -> None:
    found = scene.routes()
    assert {route.permission for route in found} <= {*PERMISSIONS, INGEST}
    assert {route.path for route in found if route.permission == "anyone"} == OPEN


def refused(answer: Answer) -> bool:
    """Whether the guard let nobody in."""
    return answer.status in (401, 403) and catalogue().say(f"base.refused-{answer.status}", "zh") in answer.text


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_let_in_where_it_holds_the_permission_and_nowhere_else(scene: Scene, role: Role) -> None:
    token = bearer(scene.ask.desk, role, OWN)
    wrong = []
    for route in scene.routes():
        answer = scene.send(route, token)
        if route.permission == INGEST:
            right = answer.status in (401, 503)
        elif route.permission in HOLDS[role] | {"anyone"}:
            shows = route.method == "GET" and RECORD.match(route.path)
            right = answer.status == 200 if shows else answer.status < 500 and not refused(answer)
        else:
            right = refused(answer)
        if not right:
            wrong.append((route.method, route.path, answer.status))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_sees_and_changes_nothing_of_foreign_systems(scene: Scene, role: Role) -> None:
    token, before = bearer(scene.ask.desk, role, FOREIGN), scene.said()
    own = [*(row[0] for row in before), "user-1"]
    wrong = []
    for route in scene.routes():
        answer = scene.send(route, token)
        asked = {scene.finding, scene.incident} if "{id}" in route.path or "exceptions" in route.path else set()
        told = [name for name in own if name in answer.text and name not in asked]
        shown = "{id}" in route.path and answer.status < 300
        if told or shown:
            wrong.append((route.method, route.path, answer.status, told[:2]))
    assert wrong == []
    assert scene.said() == before
