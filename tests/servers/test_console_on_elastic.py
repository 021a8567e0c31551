"""The console over Elasticsearch: an incident is shown, decided on and answered as over the embedded store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch
from jsonschema import Draft202012Validator
from tests.ledgers import CERTS, kept
from tests.playbooks import Aim
from tests.rooms import Clock, bearer, playbooks
from tests.servers.indexed import FINDINGS, INCIDENTS, write
from tests.unit.test_console_guard import Asking, asking

from xmsec.console.access import Grant
from xmsec.respond.connectors import every_connector
from xmsec.runtime.approval import Means
from xmsec.runtime.cases import told_of
from xmsec.store.elastic_acts import ElasticActs
from xmsec.store.elastic_ensure import ensure
from xmsec.store.elastic_lease import Holder
from xmsec.store.elastic_read import ElasticReader
from xmsec.store.elastic_runs import Edge, ElasticRuns

pytestmark = pytest.mark.servers

INCIDENT = INCIDENTS[0]


@pytest.fixture
def ask(es_url: str, prefix: str, tmp_path: Path) -> Iterator[Asking]:
    clock = Clock()
    with Elasticsearch(es_url) as client, Aim(tmp_path / "content") as aim:
        aim([])
        ensure(client, "aaaa", prefix)
        write(client, prefix, FINDINGS, INCIDENTS)
        reader = ElasticReader(client, prefix)
        runs = ElasticRuns(client, Holder("console", 1000.0), Edge(clock, time.monotonic, time.sleep), prefix)
        means = Means(playbooks(tmp_path / "content"), runs, every_connector(), lambda one: told_of(reader, one))
        answers = (ElasticActs(client, prefix), means)
        with asking(tmp_path, lambda: reader, clock, answers) as ask:
            yield ask


def test_an_incident_is_shown_decided_on_and_answered(ask: Asking) -> None:
    cookie, csrf = ask.session(Grant("admin"))
    page = f"/incidents/{INCIDENT.id}"

    def post(path: str, **form: str) -> int:
        return ask(f"{page}/{path}", {"csrf": csrf, **form}, cookie=cookie).status

    for path in ("/incidents?order=-severity", "/incidents/facets?system=toys", page, f"/findings?incident={INCIDENT.id}"):
        assert ask(path, cookie=cookie).status == 200
    assert INCIDENT.id in ask("/incidents", cookie=cookie).text
    assert post("status", action="acknowledge", key="1") == 303
    assert post("comments", text="asked <b>", key="2") == 303
    assert post("runs", playbook="contain-account") == 303
    (run,) = {part.split('"')[0] for part in ask(page, cookie=cookie).text.split(f"{page}/runs/")[1:]}
    step = ask(page, cookie=cookie).text.split('name="step" value="')[1].split('"')[0]
    for _ in range(2):
        assert post(f"runs/{run}", action="approve", step=step, seen="1") == 303
    shown = ask(page, cookie=cookie).text
    assert shown.count("step-applied") == 1
    assert shown.count("step-waits") == 1
    assert "asked &lt;b&gt;" in shown
    assert "status-acknowledged" in shown
    assert ask("/incidents", cookie=cookie).text.count('class="wait"') == 1


def test_trails_and_the_ledger_read_what_is_indexed(ask: Asking, tmp_path: Path) -> None:
    kept(tmp_path)
    token = bearer(ask.desk, "admin")
    entity = FINDINGS[0].entity.id
    told = ask("/trail", {"of": "actor", "name": entity, "reason": "request 7"}, authorization=token)
    about = {one.id for one in FINDINGS if one.entity.id == entity}
    assert (told.status, {one.id for one in FINDINGS if f"/findings/{one.id}" in told.text}) == (200, about)
    assert CERTS in ask("/ledger", authorization=token).text
    shown = ask(f"/ledger/dataset?name={quote(CERTS, safe='')}", authorization=token)
    assert (shown.status, "role:clerk" in shown.text, 'id="proposals"' in shown.text) == (200, True, False)


def test_the_api_answers_as_it_is_described_and_changes_what_it_is_told(ask: Asking) -> None:
    token = bearer(ask.desk, "admin")
    document = json.loads(ask("/api/openapi.json", authorization=token).text)

    def listed(path: str, **headers: str) -> Any:
        schema = document["paths"][path.partition("?")[0]]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        answer = json.loads(ask(path, authorization=token, **headers).text)
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer)
        return answer["rows"]

    def change(path: str, body: bytes, method: str = "PATCH", **headers: str) -> int:
        return ask.send(method, path, body, authorization=token, content_type="application/json", **headers).status

    for table in ("findings", "incidents"):
        first = listed(f"/api/{table}?limit=1")[0]
        path = f"/api/{table}/{first['id']}"
        tag = ask(path, authorization=token).headers["etag"]
        assert change(path, b'{"status": "acknowledged", "assignee": "li"}', if_match=tag) == 200
        assert change(path, b'{"status": "closed"}', if_match=tag) == 412
        found = listed(f"/api/{table}?status=acknowledged&assignee=li&system=toys&since=1970-01-01T00:00:00Z&q={first['id']}")
        assert [row["id"] for row in found] == [first["id"]]
    comment = (f"/api/incidents/{INCIDENT.id}/comments", b'{"text": "seen"}', "POST")
    assert [change(*comment, idempotency_key="1") for _ in range(2)] == [201, 201]
    assert len([act for act in ask.desk.audit.entries() if act.kind == "incident.comment"]) == 1
    assert listed("/api/playbook-runs") == []
