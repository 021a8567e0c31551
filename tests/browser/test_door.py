"""How people come in: by the first link, by password, and not otherwise."""

from __future__ import annotations

import pytest
from tests.browser.conftest import PASSWORD, Enter, Room

from xmsec.console.access import Grant


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_first_link_makes_the_first_administrator_once(watched: Enter, room: Room, language: str) -> None:
    link = room.link("first-admin")
    seen = watched(language)
    seen.page.goto(link)
    seen.looked_at()
    seen.page.fill("#name", "admin")
    seen.page.fill("#password", PASSWORD)
    seen.page.fill("#again", PASSWORD)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url("**/situation")
    assert [user.name for user in room.desk.users.every()] == ["admin"]
    again = watched(language)
    again.page.goto(link)
    assert again.page.locator("h1").count() == 1
    assert again.page.locator("#name").count() == 0
    again.wrong = [one for one in again.wrong if "410" not in one]


def test_a_person_signs_in_goes_where_they_wanted_and_leaves(watched: Enter, room: Room) -> None:
    room.desk.users.add("li", PASSWORD, [Grant("viewer")], "test")
    seen = watched("en")
    seen.page.goto(f"{room.url}/account")
    seen.page.wait_for_url("**/login?*")
    seen.page.fill("#name", "li")
    seen.page.fill("#password", PASSWORD)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_url("**/account")
    seen.language = "zh"  # their own choice counts from now on
    seen.page.click("form[action='/logout'] button")
    seen.page.wait_for_url("**/login")
    seen.page.goto(f"{room.url}/findings")
    seen.page.wait_for_url("**/login?*")
    seen.language = "en"


def test_a_link_of_the_demo_signs_a_browser_in_once(watched: Enter, room: Room) -> None:
    room.desk.users.add("demo", PASSWORD, [Grant("admin")], "test")
    link = room.link("sign-in")
    seen = watched()
    seen.page.goto(link)
    seen.page.wait_for_url("**/situation")
    other = watched()
    other.page.goto(link)
    other.page.goto(f"{room.url}/findings")
    other.page.wait_for_url("**/login?*")
    other.wrong = [one for one in other.wrong if "410" not in one]
