"""CACAO playbooks: what is refused, what a run does next, and that a command of unknown end is asked for, not repeated."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmsec.content.load import Document, read
from xmsec.model.errors import ContentError, PolicyError, ServiceError
from xmsec.model.types import Entity, Incident
from xmsec.respond.chain import Entry, Kind, broken, linked
from xmsec.respond.connectors import every_connector
from xmsec.respond.drive import Driver
from xmsec.respond.playbook import Playbook, load_playbook
from xmsec.respond.run import following

SHIPPED = Path(__file__).parents[2] / "playbooks" / "contain-account.json"
INCIDENT = Incident(
    id="i1",
    opened=datetime(2026, 10, 20, tzinfo=UTC),
    entity=Entity("user", 'clerk "7"'),
    severity="high",
    risk=70,
    findings=("f1",),
    detectors=("mass-lookup",),
)


class Remembered:
    """A record in memory, chained like the stored one."""

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.all = list(entries)

    def entries(self, run: str) -> Sequence[Entry]:
        return [entry for entry in self.all if entry.run == run]

    def append(self, run: str, kind: Kind, step: str, body: Mapping[str, str], by: str) -> Entry:
        entry = linked(self.all[-1] if self.all else None, run, kind, step, body, by, f"t{len(self.all)}")
        self.all.append(entry)
        return entry


class Target(BaseHTTPRequestHandler):
    """An identity service: suspends accounts, says which are suspended, counts what it was asked."""

    asked: list[tuple[str, str, bytes]]
    suspended: set[str]

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.path, self.headers["Idempotency-Key"], content))
        self.suspended.add(self.path.split("/")[2])
        self._answer(403 if "forbidden" in self.path else 200)

    def do_GET(self) -> None:
        self._answer(200 if self.path.split("/")[2] in self.suspended else 404)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[type[Target]]:
    kind = type("Fresh", (Target,), {"asked": [], "suspended": set()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    kind.port = server.server_port
    Thread(target=server.serve_forever, daemon=True).start()
    yield kind
    server.shutdown()
    server.server_close()


def shipped(change: Callable[[Any], None] = lambda body: None) -> Document:
    body = json.loads(SHIPPED.read_text())
    change(body)
    return Document(SHIPPED, json.dumps(body), body)


def aimed_at(target: type[Target]) -> Playbook:
    def change(body: Any) -> None:
        for definition in body["target_definitions"].values():
            definition["address"], definition["port"] = {"ipv4": ["127.0.0.1"]}, str(target.port)

    return load_playbook(shipped(change))


def step_of(playbook: Playbook, part: str) -> str:
    return next(step.id for step in playbook.road() if part in step.name)


def driver(playbook: Playbook, record: Remembered) -> Driver:
    return Driver(playbook, INCIDENT, record, every_connector(), "tester")


def confirmed(playbook: Playbook) -> tuple[Driver, Remembered]:
    """A run whose first manual step is done and whose acting step waits."""
    record = Remembered()
    one = driver(playbook, record)
    one.start("r")
    one.carry("r")
    one.approve("r", step_of(playbook, "Confirm"))
    return one, record


def test_the_shipped_playbook_is_valid_and_led_by_people() -> None:
    playbook = load_playbook(read(SHIPPED))
    assert [step.acts for step in playbook.road()] == [False, False, True, False, False, False]


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda body: body.update(spec_version="cacao-1.1"), "spec_version"),
        (lambda body: body.update(workflow_start="start--6f0d3c1e-1b7a-4c55-9d0e-2a4b8d1f7c99"), "workflow_start"),
        (lambda body: body["workflow"][body["workflow_start"]].update(on_success="x"), "workflow"),
        (lambda body: body["workflow"][body["workflow_start"]].update(on_completion=body["workflow_start"]), "comes again"),
        (lambda body: body.pop("playbook_variables"), "__duty_phone__"),
        (lambda body: body.pop("target_definitions"), "target"),
        (lambda body: body.pop("agent_definitions"), "agent is not defined"),
        (lambda body: _acting(body)["commands"][0].update(command="POST /x"), "start line"),
        (lambda body: _acting(body)["commands"][0].update(type="bash"), "bash is not covered yet"),
        (lambda body: next(iter(_acting(body)["step_extensions"].values())).update(approvals="x"), "approvals"),
    ],
    ids=["version", "start", "schema", "circle", "variable", "target", "agent", "line", "command", "extension"],
)
def test_what_cannot_be_carried_out_is_refused_when_loaded(change: Callable[[Any], None], says: str) -> None:
    with pytest.raises(ContentError, match=says):
        load_playbook(shipped(change))


def test_roads_that_part_and_meet_again_are_walked_once() -> None:
    def lengthen(body: Any) -> None:
        workflow, (first, second) = body["workflow"], [name for name in body["workflow"] if name.startswith("action")][-2:]
        names = [f"action--00000000-0000-4000-8000-{number:012}" for number in range(2_000)]
        for name, after in zip(names, [*names[1:], second], strict=True):
            workflow[name] = {**workflow[first], "on_success": after, "on_failure": after}
        workflow[first].update(on_success=names[0], on_failure=names[0])

    assert len(load_playbook(shipped(lengthen)).steps) > 2_000


def _acting(body: Any) -> Any:
    return next(step for step in body["workflow"].values() if "targets" in step)


def test_nothing_acts_before_its_approval(target: type[Target]) -> None:
    one, _ = confirmed(aimed_at(target))
    assert (one.carry("r").doing, target.asked) == ("wait", [])


def test_an_approved_step_acts_once_and_its_values_are_encoded(target: type[Target]) -> None:
    playbook = aimed_at(target)
    one, record = confirmed(playbook)
    one.approve("r", step_of(playbook, "End"))
    assert one.carry("r").why.startswith("a person")
    ((path, key, content),) = target.asked
    assert (path, json.loads(content)["reason"]) == ("/accounts/clerk%20%227%22/suspend", "i1")
    assert any(entry.kind == "applied" and entry.body.get("key") == key for entry in record.all)


def test_a_rehearsal_tells_all_and_touches_nothing(target: type[Target]) -> None:
    record = Remembered()
    told = driver(aimed_at(target), record).rehearse("r")
    assert [one.needs for one in told] == ["a person", "responder", "a person", "a person"]
    assert "POST /accounts/clerk%20%227%22/suspend" in told[1].plan.to_be
    assert (target.asked, record.all) == ([], [])


def test_only_the_step_that_waits_can_be_approved(target: type[Target]) -> None:
    playbook = aimed_at(target)
    one, _ = confirmed(playbook)
    with pytest.raises(PolicyError, match="does not wait"):
        one.approve("r", step_of(playbook, "Keep"))


@pytest.mark.parametrize("happened", [True, False], ids=["happened", "did not happen"])
def test_a_run_cut_between_act_and_record_asks_the_target(target: type[Target], happened: bool) -> None:
    playbook = aimed_at(target)
    one, record = confirmed(playbook)
    step = step_of(playbook, "End")
    one.approve("r", step)
    record.append("r", "applying", step, {"command": "0", "key": "k"}, "tester")
    if happened:
        target.suspended.add("clerk%20%227%22")
    driver(playbook, record).carry("r")
    assert len(target.asked) == (0 if happened else 1)
    assert [entry.kind for entry in record.all if entry.step == step] == ["approved", "applying", "applied"]


def test_what_cannot_be_seen_at_the_target_waits_for_a_person(target: type[Target]) -> None:
    playbook = load_playbook(shipped(lambda body: next(iter(_acting(body)["step_extensions"].values())).pop("verify")))
    one, record = confirmed(playbook)
    step = step_of(playbook, "End")
    one.approve("r", step)
    record.append("r", "applying", step, {"command": "0", "key": "k"}, "tester")
    assert "cannot be seen" in one.carry("r").why
    with pytest.raises(PolicyError, match="--done or --again"):
        one.approve("r", step)
    one.approve("r", step, done=True)
    assert following(playbook, record.entries("r")).step.id == step_of(playbook, "Keep")


def test_a_target_that_does_not_answer_leaves_the_run_to_be_resumed(target: type[Target]) -> None:
    playbook = aimed_at(target)
    gone = msgspec.structs.replace(playbook)
    for step in gone.steps.values():
        if step.target:
            step.target["port"] = "1"
    one, record = confirmed(gone)
    one.approve("r", step_of(gone, "End"))
    with pytest.raises(ServiceError):
        one.carry("r")
    assert record.all[-1].kind == "applying"


def test_a_refusal_leads_to_the_playbooks_own_way_out(target: type[Target]) -> None:
    playbook = aimed_at(target)
    forbidden = msgspec.structs.replace(INCIDENT, entity=Entity("user", "forbidden"))
    record = Remembered()
    one = Driver(playbook, forbidden, record, every_connector(), "tester")
    one.start("r")
    one.carry("r")
    one.approve("r", step_of(playbook, "Confirm"))
    one.approve("r", step_of(playbook, "End"))
    assert one.carry("r").step.id == step_of(playbook, "Tell")


def test_a_run_that_is_over_says_so_once(target: type[Target]) -> None:
    playbook = aimed_at(target)
    one, record = confirmed(playbook)
    for part in ("End", "Keep", "Tell"):
        one.approve("r", step_of(playbook, part))
        last = one.carry("r")
    assert (last.doing, one.carry("r").doing) == ("done", "done")
    assert [entry.kind for entry in record.all].count("ended") == 1


texts = st.text(max_size=8)
facts = st.lists(st.tuples(texts, st.dictionaries(texts, texts, max_size=3)), min_size=1, max_size=8)


def chained(told: list[tuple[str, dict[str, str]]]) -> list[Entry]:
    record = Remembered()
    for run, body in told:
        record.append(run, "applied", "s", body, "tester")
    return record.all


@given(facts)
def test_an_untouched_chain_is_whole(told: list[tuple[str, dict[str, str]]]) -> None:
    assert broken(chained(told)) is None


@given(facts, st.data())
def test_any_alteration_breaks_the_chain_where_it_was_made(told: list[tuple[str, dict[str, str]]], data: st.DataObject) -> None:
    entries = chained(told)
    at = data.draw(st.integers(0, len(entries) - 1))
    altered = msgspec.structs.replace(entries[at], by="another")
    assert broken([*entries[:at], altered, *entries[at + 1 :]]) == at + 1
    if at + 1 < len(entries):
        assert broken([*entries[:at], *entries[at + 1 :]]) == at + 1
