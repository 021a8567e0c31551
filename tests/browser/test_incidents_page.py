"""Incidents, as an operator works on them and a responder answers them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from tests.browser.conftest import Enter, Room, Watched
from tests.browser.test_findings_page import SERIOUS

from xmsec.console.access import Grant
from xmsec.model.ports import Query
from xmsec.store.runs import Runs


def incidents(room: Room) -> list[dict[str, Any]]:
    """All incidents, those of the most findings first."""
    rows = room.store.reader.page(Query("incidents", order="id", limit=100)).rows
    return sorted(rows, key=lambda row: -len(row["findings"]))


def runs(room: Room) -> Runs:
    return Runs(lambda: room.store.connection, lambda: datetime.now(UTC))


def ask(page: Page) -> Locator:
    """What a run asks of a person."""
    return page.locator(".run .ask")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_from_an_alert_to_its_explanation_its_incident_and_its_playbooks_approval(
    signed_in: Enter, room: Room, language: str
) -> None:
    seen = signed_in("/findings?entity.id=user-1", language)
    page = seen.page
    page.keyboard.press("Enter")
    expect(page.locator("#detail .why tbody tr").first).to_be_visible()
    page.click("#detail a[href^='/incidents/']")
    expect(page.locator(".case h1")).to_be_visible()
    incident = page.locator(".case").get_attribute("data-id")
    seen.looked_at()
    page.click("details.run summary")
    page.click(".begin button")
    expect(ask(page)).to_be_visible()
    assert len(runs(room).of([str(incident)])) == 1
    page.click(".approve button")
    expect(page.locator(".step-applied")).to_have_count(1)
    assert room.target.suspended == set()
    page.click(".approve button")
    expect(page.locator(".step-applied")).to_have_count(2)
    assert room.target.suspended == {"user-1"}
    expect(page.locator(".whole")).to_be_visible()
    expect(page.locator("#course .by-playbook").first).to_be_visible()
    seen.looked_at()
    page.click("#findings a.title >> nth=0")
    page.click("a[href^='/incidents/']:not(.rooms a)")
    page.wait_for_url(f"**/incidents/{incident}")
    entries = [entry for run in runs(room).of([str(incident)]).values() for entry in run]
    assert {entry.by for entry in entries} == {"wang"}
    assert runs(room).verify().wrong is None
    noted = [entry.kind for entry in reversed(room.desk.audit.entries()) if entry.kind.startswith("run.")]
    assert noted == ["run.begin", "run.approve", "run.approve"]


def test_an_approval_sent_twice_is_recorded_once_and_what_is_refused_goes_on_as_after_a_failure(
    signed_in: Enter, room: Room
) -> None:
    incident = incidents(room)[0]["id"]
    page = signed_in(f"/incidents/{incident}", "en", (Grant("responder"),)).page
    page.click("details.run summary")
    page.click(".begin button")
    expect(ask(page)).to_be_visible()
    told = page.evaluate(
        """async () => {
            const form = document.querySelector("form.approve");
            const pairs = [...new FormData(form)].concat([["action", "approve"]]);
            const send = () => fetch(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(pairs) });
            return [(await send()).status, (await send()).status];
        }"""
    )
    assert told == [200, 200]
    (entries,) = runs(room).of([incident]).values()
    assert [entry.kind for entry in entries] == ["started", "approved", "applied"]
    page.reload()
    page.fill(".refuse input[name=why]", "ordered by the department")
    page.click(".refuse button")
    expect(page.locator(".step-refused .quoted")).to_have_text("ordered by the department")
    expect(ask(page)).to_contain_text("Tell the data's owner")
    assert room.target.suspended == set()


def test_an_incident_is_triaged_commented_split_moved_and_merged_and_its_timeline_says_so(signed_in: Enter, room: Room) -> None:
    first, second, *_ = incidents(room)
    seen = signed_in(f"/incidents/{first['id']}", "zh")
    page = seen.page
    page.click("#merge button")
    expect(page.locator(".alert")).to_be_visible()  # nothing was named
    seen.looked_at()
    assert incidents(room)[0] == first
    page.click("#status button[value=acknowledge]")
    expect(page.locator(".case-head .status-acknowledged")).to_be_visible()
    page.select_option("#assignee", "wang")
    page.click("#assign button")
    expect(page.locator("#course .by-person")).to_have_count(2)
    page.fill("#text", "<b>已核实</b>，非业务需要")
    page.click(".comment button")
    expect(page.locator("#course .by-person .quoted").first).to_have_text("<b>已核实</b>，非业务需要")
    page.locator("#findings input[name=finding]").first.check()
    page.click("#findings button[value=close]")
    expect(page.locator("#findings tr.is-closed")).to_have_count(1)
    page.locator("#findings input[name=finding]").first.check()
    page.click("#findings button[value=split]")
    page.wait_for_url(lambda url: first["id"] not in url)
    made = str(page.locator(".case").get_attribute("data-id"))
    page.locator("#merge input[name=other]:not([type=checkbox])").fill(second["id"])
    page.click("#merge button")
    expect(page.locator("#course .by-person")).to_have_count(2)
    page.locator("#findings input[name=finding]").first.check()
    page.fill("#to", first["id"])
    page.click("#findings button[value=move]")
    page.wait_for_url(f"**/incidents/{first['id']}")
    seen.looked_at()
    page.goto(f"{room.url}/incidents/{second['id']}")  # it leads to where it was merged into
    page.wait_for_url(f"**/incidents/{made}")
    row = room.store.reader.page(Query("incidents", {"id": (first["id"],)})).rows[0]
    assert (row["status"], row["assignee"]) == ("acknowledged", "wang")
    seen.wrong = [one for one in seen.wrong if "400" not in one]
    kinds = [entry.kind for entry in reversed(room.desk.audit.entries()) if entry.kind.split(".")[0] in ("incident", "finding")]
    assert kinds == [
        "incident.acknowledge",
        "incident.assign",
        "incident.comment",
        "finding.close",
        "finding.split",
        "incident.merge",
        "finding.move",
    ]


def test_a_finding_that_is_acknowledged_stands_in_its_incidents_timeline(signed_in: Enter, room: Room) -> None:
    page = signed_in("/findings", "en").page
    page.keyboard.press("Enter")
    expect(page.locator("#detail article")).to_be_visible()
    page.click("#detail [data-act=acknowledge]")
    expect(page.locator("#detail .status-acknowledged")).to_be_visible()
    page.click("#detail a[href^='/incidents/']")
    expect(page.locator("#course .by-person")).to_contain_text("set the status to Acknowledged, findings: 1")


def test_a_viewer_sees_all_and_can_change_nothing(signed_in: Enter, room: Room) -> None:
    incident = incidents(room)[0]["id"]
    seen = signed_in("/incidents", "en", (Grant("viewer"),))
    seen.page.click("a.title >> nth=0")
    expect(seen.page.locator("#course li").first).to_be_visible()
    expect(seen.page.locator(".case button, .case input:not([type=hidden]), .case textarea, .case select")).to_have_count(0)
    assert told(seen, f"/incidents/{incident}/status", "close") == 403
    assert told(seen, f"/incidents/{incident}/runs", "begin") == 403
    seen.wrong = [one for one in seen.wrong if "403" not in one]


def test_an_incident_of_a_foreign_system_is_not_there(signed_in: Enter, room: Room) -> None:
    incident = incidents(room)[0]["id"]
    seen = signed_in("/incidents", "zh", (Grant("responder", ("elsewhere",)),))
    expect(seen.page.locator("tr td a.title")).to_have_count(0)
    assert seen.page.evaluate(f"async () => (await fetch('/incidents/{incident}')).status") == 404
    for path in ("status", "comments", "merge", "findings", "runs", "runs/x"):
        assert told(seen, f"/incidents/{incident}/{path}", "close") == 404
    assert room.store.reader.count(Query("incidents"), ("status",)) == {("new",): len(incidents(room))}
    seen.wrong = [one for one in seen.wrong if "404" not in one]


def told(seen: Watched, path: str, action: str) -> int:
    """The status with which a change is answered."""
    script = """async ([path, action]) => (await fetch(path, { method: "POST", headers: { "X-CSRF-Token": csrf() },
        body: new URLSearchParams([["action", action], ["playbook", "contain-account"]]) })).status"""
    return int(seen.page.evaluate(script, [path, action]))


def test_a_facet_narrows_the_list_and_the_address_keeps_it(signed_in: Enter, room: Room) -> None:
    page = signed_in("/incidents", "en").page
    page.locator("#facets input[name=severity]").first.check()
    page.wait_for_url("**/incidents?severity=*")
    expect(page.locator("#facets input[name=severity]:checked")).to_have_count(1)
    shown = page.locator("tr td a.title").count()
    page.goto(page.url)
    expect(page.locator("tr td a.title")).to_have_count(shown)
    page.fill("#q", "nobody-of-this-name")
    page.keyboard.press("Enter")
    expect(page.locator(".empty")).to_be_visible()


def test_the_list_and_an_incident_are_accessible(signed_in: Enter, room: Room) -> None:
    seen = signed_in("/incidents", "en")
    expect(seen.page.locator("#facets fieldset").first).to_be_visible()
    for theme in ("", "light", "dark"):
        if theme:
            room.desk.users.prefer("wang", "en", theme)
            seen.page.goto(f"{room.url}/incidents/{incidents(room)[0]['id']}")
        if theme == "light":
            seen.page.click("details.run summary")
            seen.page.click(".begin button")
            expect(ask(seen.page)).to_be_visible()
        found = Axe().run(seen.page).response["violations"]
        assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS] == []
