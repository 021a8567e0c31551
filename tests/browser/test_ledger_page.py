"""The ledger in a real browser: a proposed label is accepted or rejected with a reason, within one's systems."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.browser.conftest import Enter, Room
from tests.browser.test_findings_page import SERIOUS
from tests.ledgers import CASES, CERTS, SEEN, kept, observe, use

from xmsec.console.access import Grant
from xmsec.runtime.assemble import current_ledger


@pytest.fixture(autouse=True)
def written(room: Room) -> None:
    """A ledger, and what the stream observed beside it."""
    kept(room.folder)
    observe(room.store, SEEN)
    use(room.store, "lin", CERTS, [datetime.now(UTC)])


@pytest.mark.parametrize("language", ["zh", "en"])
def test_an_accepted_proposal_changes_the_dataset_and_makes_a_revision(signed_in: Enter, room: Room, language: str) -> None:
    seen = signed_in("/ledger", language)
    page = seen.page
    page.check("input[name=open]")
    page.click("form[role=search] button")
    expect(page.locator("input[name=open]")).to_be_checked()
    seen.looked_at()
    page.click(f"tr:has-text('{CERTS}') a")
    row = page.locator("#proposals tr", has_text="CN_MOBILE")
    expect(row).to_contain_text("90")
    expect(page.locator("#grants")).to_contain_text({"zh": "近 30 天 1 次", "en": "1 in 30 days"}[language])
    expect(page.locator("#grants")).to_contain_text({"zh": "未见使用", "en": "Never seen in use"}[language])
    page.click("#grants summary")
    expect(page.locator("#grants details a")).to_have_text(["lin.mei", "lin"])
    seen.looked_at()
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found if one["impact"] in SERIOUS] == []
    row.locator("select").select_option("important")
    row.locator("input[name=reason]").fill("seen in the gateway")
    row.locator("button[value=accept]").click()
    expect(page.locator("#fields")).to_contain_text("seen in the gateway")
    expect(page.locator(".headline .grade-important")).to_be_visible()
    expect(page.locator("#proposals input[name=type][value=CN_MOBILE]")).to_have_count(0)
    assert current_ledger(room.folder)[0].revision == 2
    (noted,) = [one for one in room.desk.audit.entries() if one.kind == "ledger.accepted"]
    assert (noted.by, noted.what, noted.body["grade"]) == ("wang", CERTS, "important")


def test_a_rejected_proposal_stays_rejected_when_it_is_observed_again(signed_in: Enter, room: Room) -> None:
    page = signed_in("/ledger").page
    page.click(f"tr:has-text('{CASES}') a")
    page.click("#proposals button[value=refuse]")  # the browser asks for the reason first
    page.fill("#proposals input[name=reason]", "testing")
    page.click("#proposals button[value=refuse]")
    expect(page.locator("#refused")).to_contain_text("testing")
    observe(room.store, SEEN)
    page.reload()
    expect(page.locator("#refused")).to_contain_text("10")
    expect(page.locator("#proposals")).to_have_count(0)
    assert current_ledger(room.folder)[0].revision == 1


def test_a_reader_sees_their_systems_and_decides_nothing(signed_in: Enter) -> None:
    page = signed_in("/ledger", "en", (Grant("viewer", ("city",)), Grant("data-officer", ("elsewhere",)))).page
    expect(page.locator("tbody tr")).to_have_count(1)
    page.click("tbody a")
    expect(page.locator("#proposals")).to_contain_text("CN_MOBILE")
    expect(page.locator("#proposals form")).to_have_count(0)
