"""Twenty findings are worked through by keyboard, each with its reasons before one's eyes; the keys are counted and printed."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Enter, Room
from tests.browser.test_findings_page import press, statuses

FINDINGS, KEYS = 20, 60
DECISIONS = {"critical": "a", "high": "a", "medium": "c", "low": "f", "informational": "f"}  # by the severity that is seen


class Counted:
    """A keyboard whose keys are counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.keys = page, 0

    def __call__(self, key: str) -> None:
        self.keys += 1
        self.page.keyboard.press(key)


def before_ones_eyes(page: Page) -> str:
    """Wait until the detail is that of the row that one is at; return its severity."""
    row = page.locator("#body tr.here")
    known = row.get_attribute("data-id")
    expect(page.locator(f"#detail article[data-id='{known}'] .why").first).to_be_visible()
    classes = page.locator("#detail .badges .sev").get_attribute("class") or ""
    return classes.rpartition("sev-")[2]


def test_twenty_findings_are_triaged_in_sixty_keys_at_most(
    signed_in: Enter, room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    page = signed_in("/findings", "en").page
    key = Counted(page)
    key("Enter")  # from here on the detail follows
    for _ in range(FINDINGS - 5):
        decision = DECISIONS[before_ones_eyes(page)]
        key.keys += 1
        press(page, decision)
    for _ in range(5):  # the last ones are alike: selected, and closed at once
        key("x")
        key("j")
    key("c")
    expect(page.locator("#bulk")).to_be_hidden()
    triaged = sum(count for (status,), count in statuses(room).items() if status != "new")
    with capsys.disabled():
        print(f"\n{triaged} findings triaged in {key.keys} keys")
    assert triaged == FINDINGS
    assert key.keys <= KEYS
