"""The trail in a real browser: from a finding's token to who touched it, with a reason, on record."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.browser.conftest import Enter, Room
from tests.browser.test_findings_page import SERIOUS
from tests.trails import KEYRING, archived, name, row

from xmsec.console.access import Grant
from xmsec.runtime.trails import RECORDINGS
from xmsec.store.inquiries import Inquiries

HOSTILE = "<b>u3</b>"


@pytest.fixture(autouse=True)
def recorded(room: Room) -> None:
    """What actors did to two subjects, in two systems."""
    traffic = [row(1, {"user.id": "u1"}, [1], 1), row(2, {"user.id": "user-2"}, [1, 2], 2, "office")]
    archived(room.folder / RECORDINGS, [traffic, [row(3, {"user.id": HOSTILE}, [1], 3)]], check=KEYRING.check)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_subjects_trail_is_asked_with_a_reason_and_leaves_a_record(signed_in: Enter, room: Room, language: str) -> None:
    seen = signed_in(f"/trail?of=subject&name={name(1)}", language)
    page = seen.page
    expect(page.locator("#name")).to_have_value(name(1))
    seen.looked_at()
    page.click("#ask .primary")  # the browser asks for the reason first
    assert Inquiries(room.folder).entries() == []
    page.fill("#reason", "request 7")
    page.click("#ask .primary")
    expect(page.locator("#answer .figures div").first).to_contain_text("3")
    expect(page.locator("#answer tbody").first).to_contain_text(HOSTILE)
    expect(page.locator(".asked li")).to_contain_text("request 7")
    asked, answered = Inquiries(room.folder).entries()
    assert (asked.by, asked.body["reason"], answered.body["touches"]) == ("wang", "request 7", "3")
    assert [(one.what, one.by) for one in room.desk.audit.entries() if one.kind == "trail.asked"] == [(name(1), "wang")]
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS] == []


def test_a_value_and_an_empty_reason_leave_no_trace(signed_in: Enter, room: Room) -> None:
    seen = signed_in("/trail")
    page = seen.page
    page.fill("#name", "手机 13959200417")
    page.fill("#reason", "   ")
    page.click("#ask .primary")
    expect(page.locator(".alert")).to_contain_text("未执行查询")
    expect(page.locator("#name")).to_have_value("")
    assert "13959200417" not in page.content()
    assert Inquiries(room.folder).entries() == []
    seen.wrong = [one for one in seen.wrong if "400" not in one]


def test_a_findings_token_leads_to_its_trail(signed_in: Enter, room: Room) -> None:
    page = signed_in("/findings").page
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.locator("#detail header a[href^='/trail']").click()
    page.wait_for_url("**/trail?of=actor&name=**")
    expect(page.locator("#name")).not_to_have_value("")
    expect(page.locator("#reason")).to_be_focused()
    assert Inquiries(room.folder).entries() == []


def test_an_answer_shows_ones_own_systems(signed_in: Enter) -> None:
    page = signed_in(f"/trail?name={name(1)}", "en", (Grant("viewer"), Grant("responder", ("office",)))).page
    page.fill("#reason", "request 7")
    page.click("#ask .primary")
    expect(page.locator("#answer tbody").last).to_contain_text("user-2")
    expect(page.locator("#answer")).not_to_contain_text("u1")
