"""Situation: every figure leads to the list behind it, in both languages; the wall shows it without scrolling."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.browser.conftest import Enter, Room
from tests.browser.test_findings_page import SERIOUS
from tests.ledgers import CASES, CERTS, kept, use

from xmsec.console.access import Grant
from xmsec.model.clock import EPOCH
from xmsec.model.ports import Query
from xmsec.store.read import SqliteReader

BOTH = ("new", "acknowledged")


@pytest.mark.parametrize(("language", "theme"), [("zh", "light"), ("en", "dark")])
def test_it_is_drawn_accessible_and_in_the_language(signed_in: Enter, room: Room, language: str, theme: str) -> None:
    kept(room.folder)
    use(room.store, "lin", CERTS, [EPOCH + timedelta(minutes=1)])
    use(room.store, "", CASES, [EPOCH + timedelta(minutes=2)], "office")
    seen = signed_in("/account", language)
    room.desk.users.prefer("wang", language, theme)
    seen.page.goto(f"{room.url}/situation?span=day")
    expect(seen.page.locator("#situation[data-drawn='1'] .chart canvas")).to_have_count(3)
    seen.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    expect(seen.page.locator(".sit-flow tbody tr", has_text=CASES)).to_contain_text(
        {"zh": "已使用、未授权", "en": "Used, not declared"}[language]
    )
    seen.looked_at()
    found = Axe().run(seen.page).response["violations"]
    assert [(one["id"], one["nodes"][0]["target"]) for one in found if one["impact"] in SERIOUS] == []


def test_figures_lead_to_the_lists_behind_them(signed_in: Enter, room: Room) -> None:
    page = signed_in("/", "en").page
    expect(page).to_have_url(f"{room.url}/situation")  # the first room
    high = SqliteReader(room.store.connection).count(Query("findings", {"status": BOTH, "severity": ("high",)}), ())[()]
    figure = page.locator(".sit-counts a[href^='/findings'][href$='high']")
    expect(figure.locator("b")).to_have_text(str(high))
    figure.click()
    expect(page.locator("#facets label", has=page.locator("input[value='high']"))).to_contain_text(str(high))
    page.goto(f"{room.url}/situation?span=month")
    cell = page.locator(".heat tbody td a").first
    number = int(cell.inner_text())
    cell.click()
    expect(page.locator("#body tr[data-id]")).to_have_count(min(number, 50))
    page.goto(f"{room.url}/situation?span=month")
    page.locator(".sit-gravest li a").first.click()
    page.wait_for_url("**/incidents/*")


def test_a_bar_leads_to_the_findings_of_its_time(signed_in: Enter, room: Room) -> None:
    page = signed_in("/situation?span=month", "zh").page
    expect(page.locator("#situation[data-drawn='1']")).to_be_visible()
    box = page.locator("[data-kind='course']").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6)
    page.wait_for_url("**/findings?since=**until=**")


def test_it_renews_itself_and_a_refresh_draws_again(signed_in: Enter, room: Room) -> None:
    page = signed_in("/situation", "en").page
    expect(page.locator("#situation[data-drawn='1']")).to_be_visible()
    page.evaluate("htmx.ajax('GET', '/situation/panels?span=week', {target: '#situation', swap: 'innerHTML'})")
    expect(page.locator("#situation[data-drawn='2'] .chart canvas")).to_have_count(3)


@pytest.mark.parametrize("width", [1920, 3840])
def test_the_wall_scrolls_nowhere(signed_in: Enter, room: Room, width: int) -> None:
    seen = signed_in("/account", "zh")
    room.desk.users.prefer("wang", "zh", "wall")
    seen.page.set_viewport_size({"width": width, "height": width * 9 // 16})
    seen.page.goto(f"{room.url}/situation?span=day")
    fits = """() => {
      const main = document.querySelector("main");
      return main.scrollHeight <= main.clientHeight + 1 && document.documentElement.scrollWidth <= innerWidth;
    }"""
    assert seen.page.evaluate(fits)


def test_who_may_see_one_system_sees_its_situation_alone(signed_in: Enter, room: Room) -> None:
    page = signed_in("/situation?span=day", "en", (Grant("viewer", ("elsewhere",)),)).page
    expect(page.locator(".heat")).to_have_count(0)
    expect(page.locator(".sit-counts li:not(.zero)")).to_have_count(0)
