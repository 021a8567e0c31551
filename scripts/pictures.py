"""Take the README's pictures: a demo in a home of its own, entered by its link, in both languages.

.venv/bin/python scripts/pictures.py docs/pictures
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from playwright.sync_api import Page, sync_playwright

LANGUAGES = {"zh": "zh-CN", "en": "en-GB"}
SIZE = {"width": 1500, "height": 880}


def situation(page: Page, url: str) -> None:
    page.goto(f"{url}/situation")
    page.wait_for_selector("#situation[data-drawn] .chart canvas")


def finding(page: Page, url: str) -> None:
    page.goto(f"{url}/findings?order=-risk")
    page.locator("#body tr[data-id]").first.click()
    page.wait_for_selector("#detail article")


def incident(page: Page, url: str) -> None:
    page.goto(f"{url}/incidents?order=-risk")
    page.locator("tr a.title").first.click()
    page.wait_for_selector(".case")


def entered(said: IO[str]) -> str:
    """Wait until the demo says by which link to enter."""
    for line in said:
        if found := re.search(r"http://\S+/enter/\S+", line):
            return found[0]
    raise SystemExit("the demo ended before it served its console")


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as home:
        command = [Path(sys.executable).parent / "xmsec", "demo", "--port", "0", "--home", f"{home}/home"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as demo:
            assert demo.stderr is not None
            link = entered(demo.stderr)
            url = link.partition("/enter/")[0]
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport=SIZE, reduced_motion="reduce")
                page.goto(link)
                for language in LANGUAGES:
                    if page.locator("html").get_attribute("lang") != LANGUAGES[language].partition("-GB")[0]:
                        page.locator("button[name=language]").click()
                    for take in (situation, finding, incident):
                        take(page, url)
                        page.screenshot(path=folder / f"{take.__name__}-{language}.png")
                browser.close()
            demo.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
