"""A hundred findings a second arrive before an open list: the page stays quick, grows no heap, and announces them all."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.sync_api import CDPSession, Page, expect
from tests.browser.conftest import Enter, Room
from tests.contract.every_acts import Sqlite

from xmsec.bench.console.crowd import crowd, finding

PER_S, TICK_MS = 100, 100
LONGEST_TASK_MS = 200
HEAP_BYTES = 2 << 20  # that it may grow by from the first fifth on: the server's rows are not kept
WATCH = """window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: "longtask" });"""


def heap_bytes(devtools: CDPSession) -> int:
    devtools.send("HeapProfiler.collectGarbage")
    return int(devtools.send("Runtime.getHeapUsage")["usedSize"])


def announced(page: Page) -> int:
    return sum(map(int, re.findall(r"\d+", page.locator("#news").text_content() or "")))


@pytest.mark.parametrize(
    ("behind", "seconds"),
    [(2_000, 3), pytest.param(1_000_000, 60, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])],
)
def test_a_flood_is_announced_and_disturbs_nobody(
    signed_in: Enter, room: Room, capsys: pytest.CaptureFixture[str], behind: int, seconds: int
) -> None:
    store = Sqlite(room.store)
    for some in crowd(behind, datetime.now(UTC)):
        store.write(some.findings, some.incidents)
    page = signed_in("/findings", "en").page
    page.wait_for_selector("#live[data-looked]")
    page.evaluate(WATCH)
    devtools = page.context.new_cdp_session(page)
    first_id = page.locator("#body tr[data-id]").first.get_attribute("data-id")
    heaps = []
    for tick in range(seconds * 1000 // TICK_MS):
        each = PER_S * TICK_MS // 1000
        now = datetime.now(UTC)
        store.write([finding(number, now, "flood") for number in range(tick * each, (tick + 1) * each)], [])
        if tick * TICK_MS in (seconds * 200, seconds * 600):
            heaps.append(heap_bytes(devtools))
        page.wait_for_timeout(TICK_MS)
    while announced(page) < seconds * PER_S:
        page.wait_for_timeout(TICK_MS)
    heaps.append(heap_bytes(devtools))
    longest_ms = page.evaluate("Math.max(0, ...tasks)")
    with capsys.disabled():
        print(f"\n{behind} behind, {seconds} s: longest task {longest_ms:.0f} ms, heap {[heap >> 10 for heap in heaps]} KiB")
    assert page.locator("#body tr[data-id]").first.get_attribute("data-id") == first_id  # nothing moved under the cursor
    assert longest_ms <= LONGEST_TASK_MS
    assert heaps[-1] - heaps[0] <= HEAP_BYTES
    page.keyboard.press(".")
    expect(page.locator(f"#body tr:first-child[data-id='{first_id}']")).to_have_count(0)
