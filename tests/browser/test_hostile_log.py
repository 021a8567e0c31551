"""A log that somebody fills with markup: scanned, found, and shown on every page as the text that it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.command import called, new_home, rows

from xmsec.cli.rooms import embedded_rooms
from xmsec.cli.settings import settings
from xmsec.console.access import Grant
from xmsec.console.pages.table import PAGES
from xmsec.runtime.service import Serving, application

PAYLOADS = (
    "<script>owned=1</script>",
    "<img src=x onerror=owned=1>",
    "<svg onload=owned=1>",
    "javascript:owned=1",
    "\"><script>owned=1</script><i class='",
    "' onmouseover='owned=1' autofocus onfocus='owned=1",
    '" hx-get="/account" hx-trigger="load" x="',
    "{{7*7}}${7*7}<%= 7*7 %>",
    "</textarea></title></style><iframe srcdoc='<script>parent.owned=1</script>'>",
)
DETECTOR = """
id: 3f0f1f52-0f0c-5a52-9a53-6b1d5d7e2c11
title: Probe
title_zh: 探测
name: hostile-probe
status: test
logsource: {category: webserver}
detection: {probe: {event.outcome: failure}, condition: probe}
level: high
entity: user.name
window: 1d
tests:
  - name: a failure
    given: {events: [{user.name: zhao, event.outcome: failure}]}
    findings: [{entity: zhao, severity: high}]
  - name: a success
    given: {events: [{user.name: zhao, event.outcome: success}]}
    findings: []
"""
OURS = "script:not([src]), iframe, object, embed, base, img[src='x'], svg[onload], a[href^='javascript:'], [hx-get='/account']"
ON = "[onerror], [onload], [onmouseover], [onfocus], [onclick]"
WATCH = (
    "addEventListener('securitypolicyviolation', (e) => (window.refused ||= []).push(`${e.violatedDirective} ${e.sample}`));"
)
JUDGE = f"""() => [
  ...(window.refused || []), ...(window.owned === undefined ? [] : ["a script ran"]),
  ...[...document.querySelectorAll(`{OURS}, {ON}`)].map((one) => one.outerHTML.slice(0, 200)),
]"""
WITHOUT_END = re.compile(r"/live$|^/api/|^/static/")


class Shown(NamedTuple):
    """A console over what the scan of such a log left."""

    url: str
    cookie: str
    findings: list[str]
    incidents: list[str]


def line(number: int, payload: str) -> str:
    """A record whose every field, and one field's name, is a payload."""
    event = {
        "@timestamp": f"2026-03-02T08:{number:02}:00Z",
        "event": {"category": "web", "outcome": "failure", "action": payload, "reason": payload},
        "user": {"name": payload, "email": payload},
        "host": {"name": payload},
        "source": {"ip": f"203.0.113.{number}", "address": payload},
        "http": {"request": {"method": payload, "referrer": payload, "headers": {"x-forwarded-for": payload}}},
        "url": {"original": f"/search?q={payload}&<script", "path": payload},
        "user_agent": {"original": f"sqlmap {payload}"},
        "database": {"name": payload, "table": payload},
        "labels": {payload: payload},
    }
    return json.dumps(event)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "content" / "detectors").mkdir(parents=True)
    (folder / "content" / "detectors" / "hostile-probe.yaml").write_text(DETECTOR)
    log, home = folder / "app.json", new_home(folder / "home", folder)
    log.write_text("\n".join(line(number, payload) for number, payload in enumerate(PAYLOADS)))
    env = {"XMSEC_CONTENT_DIRS": str(folder / "content")}
    scanned = called("scan", log, "--stream", "generic.ecs", "--home", home, "--format", "jsonl", env=env)
    findings = [one for one in rows(scanned.stdout) if one["detector"] == "hostile-probe"]
    with ExitStack() as stack:
        made = stack.enter_context(embedded_rooms(settings(home)))
        service = stack.enter_context(Serving(application(tuple, rooms=made.routes), "127.0.0.1", 0))
        stack.enter_context(made.open())
        made.desk.users.add("wang", "correct horse battery", [Grant("admin")], "test")
        incidents = sorted({str(one["incident"]) for one in findings if one["incident"]})
        entities = {one["entity"]["id"] for one in findings}
        assert entities == {*PAYLOADS}, scanned.stderr
        yield Shown(service.url, made.desk.sessions.open("wang"), [one["id"] for one in findings], incidents)


def paths(shown: Shown) -> Iterator[str]:
    """Every page that somebody can open, of every record that the log has led to."""
    for view in (view for page in PAGES for view in page.views if view.method == "GET"):
        if WITHOUT_END.search(view.path) or view.permission == "anyone":
            continue
        records = shown.incidents if view.path.startswith("/incidents") else shown.findings
        if "{id}" in view.path:
            yield from (view.path.replace("{id}", record) for record in records)
        else:
            yield f"{re.sub(r'{[^}]+}', 'x', view.path)}?id={records[0]}"


@pytest.fixture
def page(shown: Shown, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1600, "height": 950}, reduced_motion="reduce")
    context.add_cookies([{"name": "xmsec-session", "value": shown.cookie, "url": shown.url, "sameSite": "Strict"}])
    made = context.new_page()
    made.add_init_script(WATCH)
    dialogs: list[str] = []
    made.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield made
    context.close()
    assert dialogs == []


def test_what_a_log_says_is_text_on_every_page(shown: Shown, page: Page) -> None:
    wrong = {}
    for path in paths(shown):
        answer = page.goto(shown.url + path, wait_until="load")
        assert answer is not None
        assert answer.status < 500, path
        if found := page.evaluate(JUDGE):
            wrong[path] = found
    assert wrong == {}


def test_what_a_log_says_is_text_where_pages_load_parts_of_themselves(shown: Shown, page: Page) -> None:
    page.goto(f"{shown.url}/findings?detector=hostile-probe")
    expect(page.locator("#facets fieldset").first).to_be_visible()
    expect(page.locator("#body tr")).to_have_count(len(PAYLOADS))
    seen = ""
    for _ in PAYLOADS:
        with page.expect_response(lambda answer: "/findings/" in answer.url):
            page.keyboard.press("Enter")
        expect(page.locator("#detail .why tbody tr").first).to_be_visible()
        seen += page.inner_text("#detail")
        page.keyboard.press("j")
    assert page.evaluate(JUDGE) == []
    assert [payload for payload in PAYLOADS if payload not in seen] == []


def test_a_trail_of_a_hostile_account_is_text(shown: Shown, page: Page) -> None:
    page.goto(f"{shown.url}/trail")
    for payload in PAYLOADS[:5:2]:
        page.check("input[name=of][value=actor]", force=True)
        page.fill("#name", payload)
        page.fill("#reason", payload)
        page.click("#ask button")
        expect(page.locator("#answer")).to_contain_text(payload)
        assert page.evaluate(JUDGE) == []
