"""An incident of two systems, as people see it who reach one of them, both or neither; and what hostile names become."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contract.every_acts import ADA, BOB, Engine, Sqlite, incident_of
from tests.contract.every_store import CODECS
from tests.playbooks import Aim
from tests.rooms import Clock, answering, bearer, rooms
from tests.unit.test_console_guard import Asking

from xmsec.console.access import Grant
from xmsec.model.clock import DAY
from xmsec.model.ids import intent_id
from xmsec.runtime.service import application
from xmsec.store.readers import Connections
from xmsec.store.sqlite import SqliteStore

HOSTILE = "<img src=x onerror=alert(1)>"
OURS = msgspec.structs.replace(ADA[0], title="ours", system="ours", stream="ours.x")
THEIRS = msgspec.structs.replace(ADA[1], title="theirs", system="theirs", stream="theirs.x", grade="core")
_LATER = ADA[2].window
LATER = msgspec.structs.replace(
    ADA[2],
    time=ADA[2].time + 2 * DAY,
    window=msgspec.structs.replace(_LATER, start=_LATER.start + 2 * DAY, end=_LATER.end + 2 * DAY),
    system="theirs",
    stream="theirs.x",
)
HERE = msgspec.structs.replace(BOB[0], title=HOSTILE, system="ours", entity=msgspec.structs.replace(BOB[0].entity, id=HOSTILE))


class Office(Asking):
    """The console over these findings, and the incident that the first two make; later: another one of their entity."""

    incident: str
    hostile: str
    later: str


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with opened(tmp_path) as made:
        yield made


@contextmanager
def opened(folder: Path, *content: Path) -> Iterator[Office]:
    """Open the console, with playbooks of a test's own content."""
    clock = Clock()
    with ExitStack() as stack:
        store = stack.enter_context(closing(SqliteStore(folder / "store.sqlite", CODECS)))
        kept = Sqlite(store)
        kept.write(*Engine().tells(OURS, THEIRS, HERE, LATER))
        connections = stack.enter_context(closing(Connections(folder / "store.sqlite")))
        answers = answering(connections, clock, *content)
        with rooms(folder, lambda: kept.reader, clock, answers) as (desk, routes):
            made = Office(desk, application(tuple, rooms=routes), clock)
            made.incident, made.hostile = incident_of(kept, OURS), incident_of(kept, HERE)
            made.later = incident_of(kept, LATER)
            yield made


@pytest.mark.parametrize(
    ("systems", "sees"),
    [(("ours",), {"ours"}), (("theirs",), {"theirs"}), (("ours", "theirs"), {"ours", "theirs"}), (("*",), {"ours", "theirs"})],
    ids=["ours", "theirs", "both", "every"],
)
def test_of_an_incident_of_two_systems_one_sees_what_one_reaches(
    office: Office, systems: tuple[str, ...], sees: set[str]
) -> None:
    cookie, _ = office.session(Grant("viewer", systems))
    shown = office(f"/incidents/{office.incident}", cookie=cookie)
    assert shown.status == 200
    assert {one.title for one in (OURS, THEIRS) if f"/findings/{one.id}" in shown.text} == sees
    facets = office("/incidents/facets", cookie=cookie).text
    assert {name for name in ("ours", "theirs") if f'name="system" value="{name}"' in facets} == sees


def test_a_core_record_that_is_shown_is_noted_and_one_that_is_not_is_not(office: Office) -> None:
    noted = []
    for number, system in enumerate(("ours", "theirs")):
        cookie, _ = office.session(Grant("viewer", (system,)), name=f"p{number}")
        office(f"/incidents/{office.incident}", cookie=cookie)
        noted.append([entry.body["grade"] for entry in office.desk.audit.entries() if entry.by == f"p{number}"])
    assert noted == [[], ["core"]]


@pytest.mark.parametrize("action", ["split", "move", "close"])
def test_a_finding_of_a_foreign_system_is_neither_split_nor_moved_nor_closed(office: Office, action: str) -> None:
    cookie, csrf = office.session(Grant("operator", ("ours",)))
    form = {"csrf": csrf, "finding": THEIRS.id, "action": action, "to": office.hostile}
    assert office(f"/incidents/{office.incident}/findings", form, cookie=cookie).status == 400
    cookie, _ = office.session(Grant("viewer"), name="li")
    shown = office(f"/incidents/{office.incident}", cookie=cookie).text
    assert f"/findings/{THEIRS.id}" in shown
    assert "is-closed" not in shown


def test_a_split_that_is_sent_again_leads_to_the_same_incident(office: Office) -> None:
    cookie, csrf = office.session(Grant("operator"))
    form = {"csrf": csrf, "finding": THEIRS.id, "action": "split", "key": "k"}
    first, second = (office(f"/incidents/{office.incident}/findings", form, cookie=cookie) for _ in range(2))
    assert (first.status, first.headers["location"]) == (second.status, second.headers["location"])
    assert first.headers["location"] != f"/incidents/{office.incident}"


def test_what_a_log_filled_in_is_text(office: Office) -> None:
    cookie, csrf = office.session(Grant("admin"))
    page = f"/incidents/{office.hostile}"
    office(f"{page}/comments", {"csrf": csrf, "text": HOSTILE}, cookie=cookie)
    office(f"{page}/runs", {"csrf": csrf, "playbook": "contain-account"}, cookie=cookie)
    for path in ("/incidents", page):
        text = office(path, cookie=cookie).text
        assert HOSTILE not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text


@pytest.mark.parametrize(
    ("path", "form", "status"),
    [
        ("comments", {"text": " "}, 400),
        ("comments", {"text": "x" * 4001}, 400),
        ("status", {"action": "assign", "assignee": "nobody-here"}, 400),
        ("status", {"action": "drop"}, 400),
        ("merge", {"other": "none"}, 400),
        ("findings", {"action": "split"}, 400),
        ("runs", {"playbook": "none"}, 400),
        ("runs/none", {"action": "approve", "step": "none"}, 400),
    ],
)
def test_what_cannot_be_is_refused(office: Office, path: str, form: dict[str, str], status: int) -> None:
    cookie, csrf = office.session(Grant("admin"))
    assert office(f"/incidents/{office.incident}/{path}", {"csrf": csrf, **form}, cookie=cookie).status == status


@pytest.mark.parametrize("path", ["", "?limit=9"], ids=["one", "list"])
def test_an_incident_names_of_related_ones_those_that_may_be_seen(office: Office, path: str) -> None:
    for systems, sees in ((("ours",), False), (("theirs",), True), (("*",), True)):
        token = bearer(office.desk, "viewer", *systems)
        text = office(f"/api/incidents/{office.incident}" if not path else f"/api/incidents{path}", authorization=token).text
        assert office.incident in text
        assert (office.later in text) is sees


def test_who_reads_more_than_they_may_change_changes_what_they_read(office: Office) -> None:
    cookie, csrf = office.session(Grant("viewer"), Grant("operator", ("ours",)))
    path = f"/api/incidents/{office.incident}"
    sent = {"cookie": cookie, "x_csrf_token": csrf, "content_type": "application/json"}
    tag = office(path, cookie=cookie).headers["etag"]
    changed = office.send("PATCH", path, b'{"status": "acknowledged"}', if_match=tag, **sent)
    assert (changed.status, changed.headers["etag"]) == (200, office(path, cookie=cookie).headers["etag"])


def test_a_number_of_entries_that_nobody_can_have_seen_is_none(office: Office) -> None:
    cookie, csrf = office.session(Grant("admin"))
    page = f"/incidents/{office.incident}/runs"
    office(page, {"csrf": csrf, "playbook": "contain-account"}, cookie=cookie)
    said = {"csrf": csrf, "action": "approve", "step": "none", "seen": "9" * 5_000}
    assert office(f"{page}/{intent_id('contain-account', office.incident)}", said, cookie=cookie).status == 409


def test_a_list_of_the_api_that_gives_a_core_record_is_noted(office: Office) -> None:
    for systems, noted in ((("ours",), []), (("theirs",), ["core"])):
        office("/api/findings", authorization=bearer(office.desk, "viewer", *systems))
        assert [one.body["grade"] for one in office.desk.audit.entries() if one.kind == "graded.read"] == noted


class Desk:
    """Who asks the API for an incident with one token."""

    def __init__(self, office: Office, role: str, *systems: str) -> None:
        self._office, self._token = office, bearer(office.desk, role, *systems)

    def get(self, path: str = "") -> tuple[int, Any]:
        answer = self._office(f"/api/incidents/{path or self._office.incident}", authorization=self._token)
        return answer.status, json.loads(answer.text)

    def say(self, path: str, value: Any, **headers: str) -> tuple[int, Any]:
        """Post a value below the first incident, or below the one that begins the path; a second passes."""
        self._office.clock.pass_(seconds=1)
        where = path if path.startswith("/") else f"/{self._office.incident}/{path}"
        sent = {"authorization": self._token, "content_type": "application/json", **headers}
        answer = self._office.send("POST", f"/api/incidents{where}", json.dumps(value).encode(), **sent)
        return answer.status, json.loads(answer.text)

    def noted(self) -> list[str]:
        return [entry.kind for entry in reversed(self._office.desk.audit.entries()) if entry.kind != "graded.read"]


def test_by_the_api_an_incident_is_split_moved_together_and_merged(office: Office) -> None:
    desk = Desk(office, "operator")
    status, apart = desk.say("split", {"findings": [THEIRS.id]})
    assert (status, apart["findings"]) == (201, [THEIRS.id])
    assert desk.get()[1]["findings"] == [OURS.id]
    status, whole = desk.say("move", {"findings": [THEIRS.id]})
    assert (status, whole["id"], {*whole["findings"]}) == (200, office.incident, {OURS.id, THEIRS.id})
    status, whole = desk.say("merge", {"incidents": [office.later]})
    assert (status, {*whole["findings"]}) == (200, {OURS.id, THEIRS.id, LATER.id})
    assert desk.get(office.later)[0] == 404
    assert desk.noted()[-3:] == ["finding.split", "finding.move", "incident.merge"]


def test_by_the_api_a_decision_under_one_key_is_one_and_one_on_what_has_changed_is_none(office: Office) -> None:
    desk, path = Desk(office, "operator"), f"/api/incidents/{office.incident}"
    tag = office(path, authorization=bearer(office.desk)).headers["etag"]
    first, second = (desk.say("split", {"findings": [THEIRS.id]}, idempotency_key="k", if_match=tag) for _ in range(2))
    assert first == second
    assert desk.say("merge", {"incidents": [office.later]}, if_match=tag)[0] == 412
    assert desk.noted().count("finding.split") == 1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("merge", {"incidents": ["none"]}, 409),
        ("merge", {"incidents": []}, 400),
        ("split", {"findings": ["none"]}, 409),
        ("split", {"findings": [OURS.id, THEIRS.id]}, 409),
        ("move", {"findings": [OURS.id]}, 409),
        ("move", {"findings": [OURS.id], "into": "x"}, 400),
        ("runs", {"playbook": "none"}, 409),
        ("runs/none/approve", {"step": "none", "entries": 1}, 404),
        ("runs/none/refuse", {"step": "none", "entries": 1, "why": " "}, 400),
        ("/none/merge", {"incidents": ["none"]}, 404),
    ],
)
def test_by_the_api_what_cannot_be_is_refused(office: Office, path: str, body: dict[str, Any], status: int) -> None:
    desk = Desk(office, "admin")
    before = desk.get()
    assert desk.say(path, body)[0] == status
    assert (desk.get(), desk.noted()) == (before, desk.noted()[:1])


@pytest.mark.parametrize(("path", "field"), [("merge", "incidents"), ("split", "findings"), ("move", "findings")])
def test_by_the_api_nothing_of_a_foreign_system_is_moved(office: Office, path: str, field: str) -> None:
    named = {"incidents": office.later, "findings": THEIRS.id if path == "split" else LATER.id}[field]
    before = Desk(office, "viewer").get()
    assert Desk(office, "operator", "ours").say(path, {field: [named]})[0] == 409
    assert Desk(office, "viewer").get() == before


def begun(office: Office) -> tuple[Desk, Any]:
    desk = Desk(office, "responder")
    status, run = desk.say("runs", {"playbook": "contain-account"})
    assert (status, run["doing"], run["waits"]["asks"]) == (201, "wait", "manual")
    return desk, run


def test_by_the_api_a_run_is_rehearsed_begun_once_and_approved_once(office: Office) -> None:
    desk = Desk(office, "responder")
    (told,) = (row for row in desk.get(f"{office.incident}/rehearsals")[1]["rows"] if row["playbook"] == "contain-account")
    assert [one["needs"] for one in told["commands"]][:2] == ["person", "responder"]
    assert desk.get(f"{office.incident}/runs")[1]["rows"] == []
    desk, run = begun(office)
    assert desk.say("runs", {"playbook": "contain-account"}) == (201, run)
    word = {"step": run["waits"]["step"], "entries": run["entries"]}
    status, after = desk.say(f"runs/{run['id']}/approve", word)
    assert (status, after["entries"] > run["entries"]) == (200, True)
    assert desk.say(f"runs/{run['id']}/approve", word) == (200, after)
    assert desk.say(f"runs/{run['id']}/approve", {**word, "entries": after["entries"]})[0] == 409
    assert desk.get(f"{office.incident}/runs")[1]["rows"] == [after]


def test_by_the_api_a_step_is_refused_with_its_reason_and_the_run_goes_on(office: Office) -> None:
    desk, run = begun(office)
    said = {"step": run["waits"]["step"], "entries": run["entries"], "why": "on leave, asked for"}
    status, after = desk.say(f"runs/{run['id']}/refuse", said)
    assert (status, after["waits"] != run["waits"]) == (200, True)
    assert desk.say(f"runs/{run['id']}/resume", {})[0] == 200
    assert desk.noted()[-3:] == ["run.begin", "run.refuse", "run.resume"]


def test_by_the_api_a_word_stands_where_the_target_is_away(tmp_path: Path) -> None:
    with Aim(tmp_path / "content") as aim:
        aim([])  # and nobody answers there when it is closed
    with opened(tmp_path, tmp_path / "content") as office:
        desk, run = begun(office)
        for _ in range(2):  # the first step is a person's, the second asks the target
            said = {"step": run["waits"]["step"], "entries": run["entries"]}
            status, run = desk.say(f"runs/{run['id']}/approve", said)
        assert (status, run["doing"], run["waits"]) == (200, "verify", None)
        assert desk.say(f"runs/{run['id']}/resume", {}) == (200, run)
        noted = [entry.body.get("target") for entry in office.desk.audit.entries() if entry.kind.startswith("run.")]
        assert noted == ["away", "away", None, None]


@pytest.mark.parametrize(
    ("role", "systems", "path", "status"),
    [
        ("operator", (), "{incident}", 403),
        ("responder", ("elsewhere",), "{incident}", 404),
        ("responder", (), "{later}", 404),
    ],
    ids=["without the right", "of another system", "by another incident"],
)
def test_by_the_api_a_run_is_approved_by_who_may_and_through_its_incident(
    office: Office, role: str, systems: tuple[str, ...], path: str, status: int
) -> None:
    owner, run = begun(office)
    word = {"step": run["waits"]["step"], "entries": run["entries"]}
    where = path.format(incident=office.incident, later=office.later)
    assert Desk(office, role, *systems).say(f"/{where}/runs/{run['id']}/approve", word)[0] == status
    assert owner.get(f"{office.incident}/runs")[1]["rows"] == [run]
