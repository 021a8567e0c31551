"""Administration: people come in by a link, roles hold at once, tokens are shown once, the audit trail tells of all of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.browser.conftest import PASSWORD, Enter, Room
from tests.browser.test_findings_page import SERIOUS

from xmsec.console.access import Grant

Looks = Callable[[Page], None]


def open_form(page: Page) -> None:
    page.locator("details.card > summary").click()


def checked(page: Page) -> None:
    page.click("#chain button")
    expect(page.locator("#chain .good")).to_be_visible()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_person_is_added_by_a_link_that_is_shown_once_and_works_once(signed_in: Enter, room: Room, language: str) -> None:
    seen = signed_in("/admin/users", language)
    page = seen.page
    open_form(page)
    page.fill("#name", "li.wei")
    page.check("input[value='operator *']")
    seen.looked_at()
    page.click("details.card .primary")
    link = page.locator(".once").input_value()
    seen.looked_at()
    page.goto(f"{room.url}/admin/users/li.wei")
    assert "/join/" not in page.content()
    page.context.clear_cookies()
    page.goto(link)
    page.fill("#password", PASSWORD)
    page.fill("#again", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/situation")  # the first room
    page.goto(link)
    expect(page.locator("#password")).to_have_count(0)
    assert room.desk.users.known("li.wei", PASSWORD)
    kinds = [entry.kind for entry in room.desk.audit.entries() if entry.what == "li.wei"]
    assert kinds == ["user.password", "user.link", "user.roles", "user.added"]
    seen.language = "zh"  # the new person's own
    seen.wrong = [one for one in seen.wrong if "410" not in one]


def test_roles_hold_for_the_systems_that_were_ticked(signed_in: Enter, room: Room) -> None:
    room.desk.users.add("li.wei", PASSWORD, [Grant("viewer"), Grant("operator", ("toys",))], "test")
    page = signed_in("/admin/users/li.wei", "en").page
    expect(page.locator("input[value='operator toys']")).to_be_checked()
    page.uncheck("input[value='viewer *']")
    page.check("input[value='assessor *']")
    page.click("text=Save the roles")
    expect(page.locator(".good")).to_be_visible()
    (found,) = [one for one in room.desk.users.every() if one.name == "li.wei"]
    assert found.grants == (Grant("assessor"), Grant("operator", ("toys",)))


def test_the_last_administrator_stays_one(signed_in: Enter, room: Room) -> None:
    seen = signed_in("/admin/users/wang", "zh")
    seen.page.uncheck("input[value='admin *']")
    seen.page.click("text=保存角色")
    expect(seen.page.locator(".alert")).to_be_visible()
    seen.page.click("text=停用")
    expect(seen.page.locator(".alert")).to_be_visible()
    assert room.desk.users.principal("wang") is not None
    seen.wrong = [one for one in seen.wrong if "409" not in one]


def test_a_token_is_shown_once_and_revoked(signed_in: Enter, room: Room) -> None:
    page = signed_in("/admin/tokens", "en").page
    open_form(page)
    page.fill("#name", "soc")
    page.click("text=Make it")
    secret = page.locator(".once").input_value()
    assert room.desk.bearers.find(f"Bearer {secret}") is not None
    page.goto(f"{room.url}/admin/tokens")
    assert secret not in page.content()
    expect(page.locator("tbody tr")).not_to_contain_text("Never")
    page.click("tbody button")
    expect(page.locator(".good")).to_be_visible()
    assert room.desk.bearers.find(f"Bearer {secret}") is None


def test_the_trail_is_narrowed_and_goes_on_where_a_page_ends(signed_in: Enter, room: Room) -> None:
    for number in range(130):
        room.desk.audit.note("graded.read", "li.wei", f"finding {number}")
    page = signed_in("/admin/audit", "en").page
    page.select_option("#by", "li.wei")
    page.wait_for_url("**by=li.wei**")
    page.locator("#audit-rows button").scroll_into_view_if_needed()
    expect(page.locator("#audit-rows tr")).to_have_count(130)
    page.select_option("#kind", "user.added")
    expect(page.locator("#audit-rows .empty")).to_be_visible()


PAGES: dict[str, Looks | None] = {
    "/admin/users": open_form,
    "/admin/users/wang": None,
    "/admin/tokens": open_form,
    "/admin/audit": checked,
    "/sources": None,
    "/sources/dead": None,
}


@pytest.mark.parametrize(("language", "theme"), [("zh", "light"), ("en", "dark")])
def test_every_page_is_accessible_and_speaks_the_language(signed_in: Enter, room: Room, language: str, theme: str) -> None:
    room.desk.bearers.add("soc", Grant("viewer", ("toys",)), "test")
    seen = signed_in("/account", language)
    room.desk.users.prefer("wang", language, theme)
    for path, first in PAGES.items():
        seen.page.goto(room.url + path)
        if first is not None:
            first(seen.page)
        seen.looked_at()
        found = Axe().run(seen.page).response["violations"]
        assert [(path, one["id"], one["nodes"][0]["target"]) for one in found if one["impact"] in SERIOUS] == []


def test_a_viewer_sees_the_sources_of_their_systems_and_no_administration(signed_in: Enter, room: Room) -> None:
    seen = signed_in("/sources", "en", (Grant("viewer", ("elsewhere",)),))
    expect(seen.page.locator(".sheet .empty")).to_be_visible()
    expect(seen.page.locator(".rooms a[href='/admin']")).to_have_count(0)
    for path in ("/admin", "/admin/users", "/admin/tokens", "/admin/audit"):
        answer = seen.page.goto(room.url + path)
        assert answer is not None
        assert answer.status == 403
    seen.wrong = [one for one in seen.wrong if "403" not in one]


def test_dead_letters_say_where_they_stand_and_why(signed_in: Enter, room: Room) -> None:
    page = signed_in("/sources", "en").page
    page.click("dl.figures a")
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("toys.")
    expect(rows.first.locator("td").nth(2)).to_have_text(re.compile(r"^0 : \d+$"))
