"""Exceptions from a finding, by keyboard: what they would hide is shown, the findings leave the list, the list counts them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.browser.conftest import Enter, Room
from tests.browser.test_findings_page import SERIOUS

from xmsec.console.access import Grant
from xmsec.content.exceptions import load_exceptions
from xmsec.model.clock import DAY, EPOCH
from xmsec.model.ports import Query
from xmsec.model.types import Finding, Window
from xmsec.runtime.exceptions import Shelf
from xmsec.store.statements import PUT_FINDING, finding_columns


@pytest.fixture(autouse=True)
def recent(room: Room) -> None:
    """Let the findings be of these days: an exception covers a year at most."""
    passed = datetime.now(UTC) - EPOCH - 3 * DAY
    for (body,) in room.store.connection.execute("SELECT body FROM findings").fetchall():
        one = msgspec.json.decode(body, type=Finding)
        times = {name: getattr(one, name) + passed for name in ("time", "first_seen")}
        window = Window(one.window.start + passed, one.window.end + passed)
        row = finding_columns(msgspec.structs.replace(one, window=window, **times))
        room.store.connection.execute(PUT_FINDING, row)


def serious(page: Page) -> list[object]:
    found = Axe().run(page).response["violations"]
    return [(one["id"], one["nodes"][0]["target"]) for one in found if one["impact"] in SERIOUS]


def asked_for(page: Page) -> None:
    """Press `e` and wait for the form."""
    page.keyboard.press("e")
    expect(page.locator("#except-form #reason")).to_be_focused()


@pytest.mark.parametrize(("language", "theme"), [("zh", "light"), ("en", "dark")])
def test_a_finding_is_excepted_by_keyboard_and_leaves_the_list(signed_in: Enter, room: Room, language: str, theme: str) -> None:
    seen = signed_in("/findings", language)
    room.desk.users.prefer("wang", language, theme)
    seen.page.reload()
    page = seen.page
    first = page.locator("#body tr").first.get_attribute("id")
    asked_for(page)
    expect(page.locator("#hidden-by-it b")).to_be_visible()
    seen.looked_at()
    assert serious(page) == []
    page.keyboard.type("夜间报表")
    page.keyboard.press("Control+Enter")
    expect(page.locator(f"#{first}")).to_have_count(0)
    page.goto(f"{room.url}/findings/exceptions")
    seen.looked_at()
    assert serious(page) == []
    (placed,) = load_exceptions([room.folder])[0]
    assert (placed.file.owner, placed.file.author, placed.file.reason) == ("wang", "wang", "夜间报表")
    hit = room.store.reader.count(Query("findings", {"exception": (placed.file.id,)}), ())[()]
    expect(page.locator("td a[href*=exception]")).to_have_text(str(hit))
    assert hit > 0
    page.click("td button")
    expect(page.locator("tr.is-closed")).to_have_count(1)
    kinds = [entry.kind for entry in room.desk.audit.entries() if entry.what == placed.file.id]
    assert kinds == ["exception.ended", "exception.added"]


def test_what_else_it_would_hide_is_shown_before_it_is_saved(signed_in: Enter) -> None:
    page = signed_in("/findings", "en").page
    asked_for(page)
    expect(page.locator("#hidden-by-it li")).to_have_count(1)
    page.fill("#entity", "*")
    page.locator("#entity").press("Tab")
    expect(page.locator("#hidden-by-it .sev-high")).to_be_visible()
    assert page.locator("#hidden-by-it li").count() > 1


def test_without_a_reason_nothing_is_written(signed_in: Enter, room: Room) -> None:
    page = signed_in("/findings", "en").page
    asked_for(page)
    page.evaluate("document.querySelector('#reason').required = false")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#detail .alert")).to_be_visible()
    assert Shelf((), room.folder).files() == []


def test_who_may_except_in_another_system_only_is_not_asked(signed_in: Enter, room: Room) -> None:
    grants = (Grant("viewer"), Grant("operator", ("elsewhere",)))
    seen = signed_in("/findings", "en", grants)
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#detail article")).to_be_visible()
    expect(seen.page.locator("#detail .acts")).to_have_count(0)
    known = seen.page.locator("#detail article").get_attribute("data-id")
    answer = seen.page.goto(f"{room.url}/findings/except?id={known}")
    assert answer is not None
    assert answer.status == 403
    seen.wrong = [one for one in seen.wrong if "403" not in one]
