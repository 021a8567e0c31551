"""A real Chromium before the real console; `signed_in` fails a test whose page breaks a rule of the house."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from tests.contract.every_store import Sqlite, outcomes
from tests.ledgers import about
from tests.playbooks import Aim, Target
from tests.rooms import answering

from xmsec.console.access import Grant
from xmsec.console.app import Desk, desk, house, routes
from xmsec.console.given import Records
from xmsec.console.issuer import Issuer
from xmsec.content.classifiers import Grades, Title, TypeGrade
from xmsec.model.clock import EPOCH
from xmsec.model.ports import Outcome
from xmsec.model.types import Explanation
from xmsec.runtime.exceptions import Shelf
from xmsec.runtime.reasons import Newest, Reasons
from xmsec.runtime.service import Serving, application
from xmsec.store.read import SqliteReader
from xmsec.store.readers import Connections

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
expect.set_options(timeout=30_000)  # two busy cores may take their time
GRADES = Grades(Title("级别", "grades"), types={"CN_MOBILE": TypeGrade("general-3", "a personal telephone")})
PASSWORD = "correct horse battery"
SECRET = re.compile(r"/(welcome|enter)/[^/?]+")

# Text in the wrong language, outside of what a log or a name said (`translate="no"`) and of what names its own language.
UNTRANSLATED = """(language) => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const at = walker.currentNode.parentElement;
    if (at.closest('[translate="no"], script, style, svg, code, noscript')) continue;
    const text = walker.currentNode.data.replace(/[A-Z]{2,}|API|ID/g, "");
    if (language === "zh" ? /[A-Za-z]{2,}/.test(text) : /[\\u3400-\\u9fff]/.test(text)) found.push(text.trim());
  }
  for (const one of document.querySelectorAll("[title], [aria-label], [placeholder]")) {
    if (one.closest('[translate="no"]')) continue;
    for (const name of ["title", "aria-label", "placeholder"]) {
      const text = one.getAttribute(name) || "";
      const foreign = language === "zh" ? /[A-Za-z]{3,}/ : /[\\u3400-\\u9fff]/;
      if (foreign.test(text.replace(/[0-9a-f]{8}/g, ""))) found.push(text);
    }
  }
  return found;
}"""


class Room:
    """A console that is served, and how people come in. target: what the shipped playbook acts on."""

    def __init__(self, serving: Serving, kept: Desk, store: Sqlite, target: Target) -> None:
        self.url, self.desk, self.store, self.target = serving.url, kept, store, target
        self.folder = kept.keep.path.parent

    def link(self, kind: str) -> str:
        """A one-time link."""
        path = {"first-admin": "welcome", "sign-in": "enter"}[kind]
        return f"{self.url}/{path}/{self.desk.links.make(kind, EPOCH.resolution * 10**12)}"


def explained(outcome: Outcome) -> Outcome:
    """Give a toy's findings what those of real detectors have."""
    why = (Explanation("rows in an hour", "⟨CN_MOBILE:5f2a9c1e00112233⟩ <b>", "< 60"),)
    findings = [
        msgspec.structs.replace(one, explanation=why, grade="general-4", labels=("CN_MOBILE",)) for one in outcome.findings
    ]
    return msgspec.structs.replace(outcome, findings=findings)


@pytest.fixture
def issuer() -> Issuer | None:
    """By whom people sign in, too: a module that has one says so."""
    return None


@pytest.fixture
def room(tmp_path: Path, issuer: Issuer | None) -> Iterator[Room]:
    """The console over the toys' findings."""
    with ExitStack() as stack:
        store = stack.enter_context(closing(Sqlite(tmp_path)))
        store.commit([explained(outcome) for outcome in outcomes(120)])
        target = stack.enter_context(Aim(tmp_path / "content"))([])
        connections = stack.enter_context(closing(Connections(tmp_path / "store.sqlite")))
        now = partial(datetime.now, UTC)
        kept = desk(tmp_path, now)
        stack.callback(kept.keep.close)
        records = Records(
            lambda: SqliteReader(connections.mine()),
            *answering(connections, now, tmp_path / "content"),
            ZoneInfo("Asia/Shanghai"),
            exceptions=Shelf((), tmp_path),
            why=Reasons(GRADES, Newest(tmp_path)),
            **about(tmp_path, lambda: SqliteReader(connections.mine())),
        )
        shared = house(records, kept, now, issuer=issuer)
        serving = stack.enter_context(Serving(application(tuple, rooms=routes(shared)), "127.0.0.1", 0))
        stack.callback(shared.live.end)
        yield Room(serving, kept, store, target)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Pages come last, before one Chromium: while Playwright runs, no other test can start an event loop."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's own Chromium."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: sudo apt-get install chromium fonts-wqy-zenhei")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


class Watched:
    """A page, and what is wrong with it."""

    def __init__(self, context: BrowserContext, room: Room, language: str) -> None:
        self.page: Page = context.new_page()
        self.wrong: list[str] = []
        self.room, self.language = room, language
        self.page.on("console", lambda said: self._say(f"console: {said.text}", said.type in ("error", "warning")))
        self.page.on("pageerror", lambda error: self._say(f"error: {error}"))
        self.page.on("request", lambda asked: self._say(f"off the host: {asked.url}", not asked.url.startswith(room.url)))
        self.page.on("response", lambda told: self._say(f"{told.status}: {told.url}", told.status >= 500))

    def _say(self, what: str, when: bool = True) -> None:
        if when:
            self.wrong.append(SECRET.sub(r"/\1/…", what))

    def looked_at(self) -> None:
        """Look for text that is not in the page's language."""
        self.wrong += [f"untranslated: {text}" for text in self.page.evaluate(UNTRANSLATED, self.language)]


Enter = Callable[..., Watched]


@pytest.fixture
def watched(browser: Browser, room: Room) -> Iterator[Enter]:
    """Opens pages before nobody is signed in; all of them are judged at the end."""
    opened: list[Watched] = []

    def open_(language: str = "zh") -> Watched:
        locale = {"zh": "zh-CN", "en": "en-GB"}[language]
        context = browser.new_context(locale=locale, viewport={"width": 1600, "height": 950}, reduced_motion="reduce")
        opened.append(Watched(context, room, language))
        return opened[-1]

    yield open_
    for one in opened:
        if not one.page.is_closed():
            one.looked_at()
        one.page.context.close()
        assert one.wrong == []


@pytest.fixture
def signed_in(watched: Enter, room: Room) -> Enter:
    """Signs a person in with these roles, in this language, and returns the page before which they sit."""

    def enter(path: str = "/", language: str = "zh", grants: tuple[Grant, ...] = (Grant("admin"),)) -> Watched:
        room.desk.users.add("wang", PASSWORD, grants, "test")
        room.desk.users.prefer("wang", language, "light")
        made = watched(language)
        secret = room.desk.sessions.open("wang")
        made.page.context.add_cookies([{"name": "xmsec-session", "value": secret, "url": room.url, "sameSite": "Strict"}])
        made.page.goto(room.url + path)
        return made

    return enter
