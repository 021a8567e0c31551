"""The API as a machine uses it, and its description: whole, true to the schema of OpenAPI, and what really is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from jsonschema import Draft202012Validator
from starlette.routing import Route
from tests.rooms import NOON, Clock, answering, bearer, furnished
from tests.unit.test_console_guard import Answer, Asking, asking_toys

from xmsec.console.access import PERMISSIONS, Grant
from xmsec.console.app import house, routes
from xmsec.console.given import Records
from xmsec.console.once import KEPT
from xmsec.console.rates import PER_MINUTE, Rates
from xmsec.ledger.book import Book
from xmsec.ledger.dataset import Dataset, Owner
from xmsec.ledger.entries import Entries
from xmsec.ledger.label import Field
from xmsec.model.ports import Query
from xmsec.runtime.approval import begin
from xmsec.runtime.declared import INGEST
from xmsec.runtime.service import application
from xmsec.store.read import SqliteReader


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking_toys(tmp_path) as ask:
        yield ask


LEDGER = Book(
    Entries(
        as_of=NOON,
        owners=(Owner("desk"),),
        datasets=tuple(
            Dataset(f"db/{name}", "toys", "desk", fields=(Field("phone", "CN_MOBILE", "general-3"), Field("id")))
            for name in "ab"
        ),
    )
)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Asking]:
    """With something in every list."""
    clock = Clock()
    with furnished(tmp_path, clock) as (store, connections, kept):
        acts, means = answering(connections, clock)
        for row in store.reader.page(Query("incidents", limit=2)).rows:
            begin(means, "contain-account", means.incident(row["id"]), "wang")
        records = Records(lambda: SqliteReader(connections.mine()), acts, means, UTC, book=lambda: LEDGER)
        yield Asking(kept, application(tuple, rooms=routes(house(records, kept, clock))), clock)


class Machine:
    """Who asks with one token."""

    def __init__(self, ask: Asking, role: str = "operator", *systems: str) -> None:
        self._ask, self._token = ask, bearer(ask.desk, role, *systems)

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask.send("GET", path, authorization=self._token, **headers)

    def change(self, method: str, path: str, value: Any, **headers: str) -> Answer:
        sent = {"content_type": "application/json", "authorization": self._token, **headers}
        return self._ask.send(method, path, json.dumps(value).encode(), **sent)

    def first(self, table: str) -> Any:
        return json.loads(self.get(f"/api/{table}?limit=1").text)["rows"][0]


def described(ask: Asking) -> Any:
    return json.loads(Machine(ask).get("/api/openapi.json").text)


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_is_described_with_its_permission(ask: Asking) -> None:
    document = described(ask)
    served = {
        (method, route.path)
        for route in ask.app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert {(method, path) for method, path, _ in operations(document)} == served
    for _, path, operation in operations(document):
        assert operation["x-permission"] in (*PERMISSIONS, INGEST)
        assert operation["summary"].endswith((".", ":")), path
        assert {name["name"] for name in operation.get("parameters", ()) if name["in"] == "path"} == {
            *re.findall(r"\{(\w+)\}", path)
        }
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len({*names}) == len(names)


def test_every_schema_of_the_description_is_one_and_every_reference_leads_somewhere(ask: Asking) -> None:
    document = described(ask)
    assert document["openapi"] == "3.1.0"
    schemathesis.openapi.from_dict(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for found in re.findall(r'"\$ref":\s*"#/([^"]+)"', json.dumps(document)):
        at = document
        for step in found.split("/"):
            at = at[step]


LISTS = ["/api/findings", "/api/incidents", "/api/coverage", "/api/labels", "/api/playbook-runs"]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_as_it_is_described(whole: Asking, path: str) -> None:
    ask = whole
    document = described(ask)
    schema = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer = json.loads(Machine(ask).get(path).text)
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
    assert answer["rows"]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_goes_on_where_a_page_ends_and_is_of_ones_own_systems(whole: Asking, path: str) -> None:
    machine = Machine(whole)
    every = json.loads(machine.get(path).text)["rows"]
    rows, after = [], ""
    for _ in every:
        page = json.loads(machine.get(f"{path}?limit=1{after}").text)
        rows += page["rows"]
        after = f"&after={quote(page['next'] or '')}"
    assert (rows, page["next"]) == (every, None)
    assert json.loads(Machine(whole, "viewer", "toys").get(path).text)["rows"] == every
    assert json.loads(Machine(whole, "viewer", "elsewhere").get(path).text)["rows"] == []
    assert machine.get(f"{path}?after=nothing").status == 400


def test_labels_are_filtered_by_their_columns(whole: Asking) -> None:
    rows = json.loads(Machine(whole).get("/api/labels?grade=general-3&type=CN_MOBILE&dataset=db/b").text)["rows"]
    assert [(row["dataset"], row["field"], row["system"]) for row in rows] == [("db/b", "phone", "toys")]


@pytest.mark.parametrize("table", ["findings", "incidents"])
def test_one_record_is_the_one_of_the_list(ask: Asking, table: str) -> None:
    machine = Machine(ask)
    row = machine.first(table)
    assert json.loads(machine.get(f"/api/{table}/{row['id']}").text) == row
    assert machine.get(f"/api/{table}/nothing").status == 404
    assert Machine(ask, "admin", "elsewhere").get(f"/api/{table}/{row['id']}").status == 404


@pytest.mark.parametrize("path", ["/api/findings", "/api/findings/{id}", "/api/openapi.json"])
def test_what_has_not_changed_is_not_sent_again(ask: Asking, path: str) -> None:
    machine = Machine(ask)
    row = machine.first("findings")
    path = path.replace("{id}", row["id"])
    tag = machine.get(path).headers["etag"]
    assert machine.get(path, if_none_match=f'"other", {tag}')[0::2][:2] == (304, "")
    machine.change("PATCH", f"/api/findings/{row['id']}", {"status": "closed"})
    assert machine.get(path, if_none_match=tag).status == (304 if path.endswith("openapi.json") else 200)


@pytest.mark.parametrize("table", ["findings", "incidents"])
def test_a_record_is_triaged_and_what_is_left_out_stays(ask: Asking, table: str) -> None:
    machine = Machine(ask)
    path = f"/api/{table}/{machine.first(table)['id']}"
    steps: list[tuple[dict[str, Any], tuple[str, str | None]]] = [
        ({"assignee": "li"}, ("new", "li")),
        ({"status": "acknowledged"}, ("acknowledged", "li")),
        ({"assignee": None}, ("acknowledged", None)),
    ]
    for sent, expected in steps:
        answer = machine.change("PATCH", path, sent)
        row = json.loads(answer.text)
        assert (answer.status, row["status"], row["assignee"]) == (200, *expected)
        assert machine.get(path).headers["etag"] == answer.headers["etag"]
    kinds = [entry.kind for entry in ask.desk.audit.entries()]
    assert kinds.count(f"{table.removesuffix('s')}.triage") == len(steps)


def test_a_change_of_what_has_changed_since_is_refused(ask: Asking) -> None:
    machine = Machine(ask)
    path = f"/api/findings/{machine.first('findings')['id']}"
    tag = machine.get(path).headers["etag"]
    assert machine.change("PATCH", path, {"status": "acknowledged"}, if_match=tag).status == 200
    assert machine.change("PATCH", path, {"status": "closed"}, if_match=tag).status == 412
    assert json.loads(machine.get(path).text)["status"] == "acknowledged"


def test_a_change_under_one_key_is_made_once(ask: Asking) -> None:
    machine, other = Machine(ask), Machine(ask)
    incident = machine.first("incidents")["id"]
    path, key = f"/api/incidents/{incident}/comments", {"idempotency_key": "8c1d"}
    first = machine.change("POST", path, {"text": "seen"}, **key)
    assert first.status == 201
    assert machine.change("POST", path, {"text": "seen"}, **key)[0::2] == first[0::2]
    assert machine.change("POST", path, {"text": "seen again"}, **key).status == 422
    assert other.change("POST", path, {"text": "seen by another"}, **key).status == 201
    assert len([entry for entry in ask.desk.audit.entries() if entry.kind == "incident.comment"]) == 2
    ask.clock.pass_(seconds=KEPT.total_seconds())
    assert machine.change("POST", path, {"text": "seen again"}, **key).status == 201


def test_another_change_under_a_key_that_is_forgotten_is_made(ask: Asking) -> None:
    machine = Machine(ask)
    path = f"/api/findings/{machine.first('findings')['id']}"
    for status in ("acknowledged", "closed"):
        answer = machine.change("PATCH", path, {"status": status}, idempotency_key="nightly")
        assert (answer.status, json.loads(answer.text)["status"]) == (200, status)
        ask.clock.pass_(seconds=KEPT.total_seconds())


def test_of_many_changes_at_once_that_name_the_same_tag_one_is_made(whole: Asking) -> None:
    machine = Machine(whole)
    path = f"/api/incidents/{machine.first('incidents')['id']}"
    tag = machine.get(path).headers["etag"]

    def change(number: int) -> int:
        return machine.change("PATCH", path, {"assignee": f"li-{number}"}, if_match=tag).status

    with ThreadPoolExecutor(6) as threads:
        assert sorted(threads.map(change, range(6))) == [200, *[412] * 5]


def test_of_many_at_once_under_one_key_one_is_made_and_all_get_its_answer(whole: Asking) -> None:
    machine = Machine(whole)
    path = f"/api/incidents/{machine.first('incidents')['id']}/comments"

    def change(_: int) -> Answer:
        return machine.change("POST", path, {"text": "seen"}, idempotency_key="8c1d")

    with ThreadPoolExecutor(6) as threads:
        answers = {answer[0::2][:2] for answer in threads.map(change, range(6))}
    assert [status for status, _ in answers] == [201]


@pytest.mark.parametrize(
    ("body", "type_", "status"),
    [
        (b"{", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"status": "done"}', "application/json", 400),
        (b'{"state": "final"}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"status=closed", "application/x-www-form-urlencoded", 415),
        (b" " * (300 << 10), "application/json", 413),
    ],
    ids=["cut", "no text", "no such value", "no such field", "a list", "a form", "too large"],
)
def test_a_body_that_is_not_as_it_should_be_changes_nothing(ask: Asking, body: bytes, type_: str, status: int) -> None:
    token = bearer(ask.desk, "operator")
    machine = Machine(ask)
    row = machine.first("findings")
    answer = ask.send("PATCH", f"/api/findings/{row['id']}", body, authorization=token, content_type=type_)
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert machine.first("findings") == row


def test_a_session_asks_the_api_too_and_its_changes_carry_what_no_other_site_knows(ask: Asking) -> None:
    cookie, csrf = ask.session(Grant("operator"))
    path = f"/api/findings/{Machine(ask).first('findings')['id']}"
    sent = {"cookie": cookie, "content_type": "application/json"}
    assert ask.send("GET", path, cookie=cookie).status == 200
    assert ask.send("PATCH", path, b'{"status": "closed"}', **sent).status == 403
    assert ask.send("PATCH", path, b'{"status": "closed"}', **sent, x_csrf_token=csrf).status == 200


def test_a_token_that_asks_too_often_waits_and_others_do_not() -> None:
    clock = Clock()
    rates = Rates(clock, 60)
    assert [rates.wait_s("a") for _ in range(61)] == [0] * 60 + [1]
    assert rates.wait_s("b") == 0
    clock.pass_(seconds=2)
    assert [rates.wait_s("a") for _ in range(3)] == [0, 0, 1]


def test_who_asks_too_often_is_told_how_long_to_wait(ask: Asking) -> None:
    token = bearer(ask.desk)
    for _ in range(PER_MINUTE):
        assert ask.send("GET", "/api/playbook-runs?limit=0", authorization=token).status == 400
    answer = ask.send("GET", "/api/findings", authorization=token)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    ask.clock.pass_(seconds=1)
    assert ask.send("GET", "/api/findings", authorization=token).status == 200
