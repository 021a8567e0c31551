"""Findings, as an operator works through them."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect
from tests.browser.conftest import Enter, Room

from xmsec.console.access import Grant
from xmsec.model.ports import Query

SERIOUS = ("serious", "critical")


def statuses(room: Room) -> dict[tuple[str, ...], int]:
    return dict(room.store.reader.count(Query("findings"), ("status",)))


def press(page: Page, key: str) -> None:
    """Press a key that changes a finding, and wait until its row says so."""
    row = page.locator("#body tr.here")
    said = row.get_attribute("data-id")
    page.keyboard.press(key)
    expect(page.locator(f"#f-{said}")).to_have_class({"a": "is-acknowledged", "c": "is-closed", "f": "is-false-positive"}[key])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_ten_findings_are_triaged_by_keyboard_alone(signed_in: Enter, room: Room, language: str) -> None:
    seen = signed_in("/findings", language)
    page = seen.page
    expect(page.locator("#facets fieldset").first).to_be_visible()
    assert page.url == f"{room.url}/findings"  # what is loaded into the page stays out of its address
    seen.looked_at()
    for key in "aaaaaccffa":
        press(page, key)
    counted = statuses(room)
    assert {name: counted[name,] for name in ("acknowledged", "closed", "false-positive")} == {
        "acknowledged": 6,
        "closed": 2,
        "false-positive": 2,
    }
    kinds = [entry.kind for entry in room.desk.audit.entries() if entry.by == "wang" and entry.kind.startswith("finding.")]
    assert len(kinds) == 10
    assert room.desk.audit.broken() is None


def test_several_are_selected_and_changed_at_once(signed_in: Enter, room: Room) -> None:
    page = signed_in("/findings", "en").page
    for key in ("x", "j", "x", "j", "x"):
        page.keyboard.press(key)
    expect(page.locator("#selected")).to_have_text("3 selected")
    page.keyboard.press("c")
    expect(page.locator("#body tr.is-closed")).to_have_count(3)
    expect(page.locator("#bulk")).to_be_hidden()
    assert statuses(room)["closed",] == 3


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_finding_says_why_it_was_raised(signed_in: Enter, language: str) -> None:
    seen = signed_in("/findings", language)
    seen.page.keyboard.press("Enter")
    article = seen.page.locator("#detail article")
    expect(article.locator(".why tbody tr").first).to_contain_text("<b>")
    expect(article.locator(".why .token")).to_have_text("CN_MOBILE5f2a")
    expect(article.locator(".fields dd").first).to_be_visible()
    expect(article.locator("section", has=seen.page.locator(".tag")).locator(".why")).to_contain_text("a personal telephone")
    seen.looked_at()
    assert next(entry.kind for entry in seen.room.desk.audit.entries()) == "graded.read"
    seen.page.goto(f"{seen.room.url}/findings/{article.get_attribute('data-id')}")
    expect(seen.page.locator("#detail article")).to_be_visible()


def test_a_facet_and_a_word_narrow_the_list_and_the_address_keeps_them(signed_in: Enter, room: Room) -> None:
    page = signed_in("/findings", "en").page
    page.locator("#facets input[name=severity]").first.check()
    page.wait_for_url("**severity=**")
    page.keyboard.press("/")
    page.keyboard.type("user-1")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=user-1**")
    expect(page.locator("#body .entity .id").first).to_have_text("user-1")
    assert {*page.locator("#body .entity .id").all_inner_texts()} == {"user-1"}
    shown = page.locator("#body tr[data-id]").count()
    page.goto(page.url)
    expect(page.locator("#body tr[data-id]")).to_have_count(shown)
    page.fill("#view-name", "mine")
    page.click("#view-save")
    expect(page.locator("#views a")).to_have_text("mine")
    assert "q=user-1" in (page.locator("#views a").get_attribute("href") or "")


def test_new_findings_are_announced_and_not_pushed_under_the_cursor(signed_in: Enter, room: Room) -> None:
    room.store.connection.execute("CREATE TEMP TABLE later AS SELECT * FROM findings ORDER BY time DESC, id LIMIT 3")
    room.store.connection.execute("DELETE FROM findings WHERE id IN (SELECT id FROM later)")
    page = signed_in("/findings", "en").page
    live(page)
    first = page.locator("#body tr").first.get_attribute("id")
    room.store.connection.execute("INSERT INTO findings SELECT * FROM later")
    expect(page.locator("#news")).to_be_visible(timeout=20_000)
    assert page.locator("#body tr").first.get_attribute("id") == first
    page.keyboard.press(".")
    expect(page.locator("#body tr").first).not_to_have_id(str(first))
    expect(page.locator("#news")).to_be_hidden()


def live(page: Page) -> None:
    """Wait until news come: the stream is open, and the store was looked at once."""
    expect(page.locator("#live")).to_have_attribute("data-looked", "true")


def test_who_reaches_no_system_of_a_finding_neither_sees_nor_changes_it(signed_in: Enter, room: Room) -> None:
    seen = signed_in("/findings", "zh", (Grant("operator", ("elsewhere",)),))
    expect(seen.page.locator("#body tr[data-id]")).to_have_count(0)
    known = room.store.reader.page(Query("findings", limit=1)).rows[0]["id"]
    told: Any = seen.page.evaluate(
        """async ([id]) => {
            await post('/findings/triage', [['id', id], ['action', 'close']]);
            return (await fetch(`/findings/${id}`)).status;
        }""",
        [known],
    )
    assert told == 404
    assert statuses(room) == {("new",): sum(statuses(room).values())}
    seen.wrong = [one for one in seen.wrong if "404" not in one]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_list_and_a_finding_are_accessible(signed_in: Enter, room: Room, theme: str) -> None:
    seen = signed_in("/findings?entity.id=user-1&severity=high", "en")
    room.desk.users.prefer("wang", "en", theme)
    seen.page.reload()
    expect(seen.page.locator("#facets fieldset").first).to_be_visible()
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("#detail article")).to_be_visible()
    found = Axe().run(seen.page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS] == []
