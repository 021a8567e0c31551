"""Who is let in, asked as a browser or a machine asks: closed by default, and every rule on every route."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from tests.contract.every_store import Sqlite, outcomes
from tests.rooms import Clock, bearer, rooms

from xmsec.console.access import HOLDS, PERMISSIONS, ROLES, Grant, Principal, granted
from xmsec.console.app import Desk
from xmsec.console.guard import guarded, unguarded
from xmsec.console.limits import BY_ACCOUNT, BY_ADDRESS, WINDOW
from xmsec.console.live import Live
from xmsec.console.pages.table import PAGES
from xmsec.console.sessions import IDLE, LONGEST
from xmsec.model.errors import ConfigError
from xmsec.model.ports import Acts, Query, Reader
from xmsec.model.ports import Page as StorePage
from xmsec.runtime.approval import Means
from xmsec.runtime.service import application

PASSWORD = "correct horse battery"
LISTS = ("/incidents", "/incidents/facets")
VIEWS = [(page.name, view) for page in PAGES for view in page.views]
OPEN = {"/healthz", "/readyz", "/metrics"}
COOKIE = re.compile(rb"xmsec-(session|visit)=([\w-]*|\"\")")


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: Mapping[str, str]


class Asking:
    """A client without a browser: it keeps no cookie that it is not given."""

    scheme = "http"

    def __init__(self, desk: Desk, app: Starlette, clock: Clock) -> None:
        self.desk, self.app, self.clock = desk, app, clock

    def __call__(self, path: str, form: Mapping[str, str] | None = None, **headers: str) -> Answer:
        return self.send("GET" if form is None else "POST", path, urlencode(form or {}).encode(), **headers)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Ask with any method and body."""
        told: list[Mapping[str, Any]] = []

        async def receive() -> Mapping[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Mapping[str, Any]) -> None:
            told.append(message)

        path, _, query = path.partition("?")
        named = {"host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "path": path,
        }
        scope |= {"query_string": query.encode(), "root_path": "", "scheme": self.scheme, "server": ("127.0.0.1", 80)}
        scope |= {"client": ("192.0.2.7", 1), "headers": [(name.encode(), value.encode()) for name, value in named.items()]}
        asyncio.run(self.app(scope, receive, send))  # type: ignore[arg-type]  # mappings in place of ASGI's own types
        start, *rest = told
        cookies = {found[1].decode(): found[2].decode() for name, value in start["headers"] for found in COOKIE.finditer(value)}
        said = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], said, b"".join(one.get("body", b"") for one in rest).decode(), cookies)

    def session(self, *grants: Grant, name: str = "wang") -> tuple[str, str]:
        """A person with these roles, signed in: their cookie, and what their forms carry."""
        self.desk.users.add(name, PASSWORD, grants, "test")
        secret = self.desk.sessions.open(name)
        found = self.desk.sessions.find(secret)
        assert found is not None
        return f"xmsec-session={secret}", found.csrf

    def login(self, name: str, password: str) -> Answer:
        """Fill in the login."""
        door = self("/login")
        (csrf,) = re.findall(r'name="csrf" value="([0-9a-f]{64})"', door.text)
        form = {"name": name, "password": password, "csrf": csrf}
        return self("/login", form, cookie=f"xmsec-visit={door.cookies['visit']}")


@contextmanager
def asking(
    folder: Path, reader: Callable[[], Reader], clock: Clock | None = None, answers: tuple[Acts, Means] | None = None
) -> Iterator[Asking]:
    """Open a console over a reader, with a file of its own in a folder."""
    clock = clock or Clock()
    with rooms(folder, reader, clock, answers) as (desk, routes):
        yield Asking(desk, application(tuple, rooms=routes), clock)


@contextmanager
def asking_toys(folder: Path) -> Iterator[Asking]:
    """Open a console over what the toys found."""
    with closing(Sqlite(folder)) as store:
        store.commit(outcomes(60))
        with asking(folder, lambda: store.reader) as ask:
            yield ask


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Asking]:
    with asking_toys(tmp_path) as ask:
        yield ask


def test_a_route_without_a_permission_is_not_served(ask: Asking) -> None:
    (_, view) = VIEWS[0]
    with pytest.raises(ConfigError, match="without a permission"):
        guarded(None, [msgspec.structs.replace(view, permission="")])  # type: ignore[arg-type]  # it is refused before


def test_every_route_has_a_guard_or_is_known(ask: Asking) -> None:
    known = {
        *OPEN,
        *(
            path
            for path in map(str, (route.path for route in ask.app.routes if isinstance(route, Route)))
            if path.startswith("/api/events/")
        ),
    }
    assert unguarded(ask.app.routes, known) == []
    assert unguarded([Route("/back-door", lambda _: None)], known) == ["/back-door"]  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(("page", "view"), VIEWS, ids=[f"{view.method} {view.path}" for _, view in VIEWS])
def test_nobody_is_let_in_without_a_login(ask: Asking, page: str, view: Any) -> None:
    if view.permission == "anyone":
        return
    path = re.sub(r"\{\w+\}", "x", view.path)
    answer = ask.send(view.method, path)
    assert answer.status == (401 if view.method == "GET" else 403)
    machine = ask.send(view.method, path, authorization="Bearer nothing")
    assert machine.status == 401


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", ["/findings", "/api/findings", "/api/incidents", "/findings/facets", *LISTS])
def test_a_role_opens_what_it_holds_for_its_systems_alone(ask: Asking, role: str, path: str) -> None:
    assert ask(path, authorization=bearer(ask.desk, role)).status == 200
    own = ask(path, authorization=bearer(ask.desk, role, "toys"))
    foreign = ask(path, authorization=bearer(ask.desk, role, "elsewhere"))
    assert (own.status, foreign.status) == (200, 200)
    assert "user-1" in own.text or path.endswith("facets")
    assert "user-1" not in foreign.text


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_triage_does(ask: Asking, role: str) -> None:
    answer = ask("/findings/triage", {"action": "close"}, authorization=bearer(ask.desk, role))
    assert answer.status == (200 if "findings.triage" in HOLDS[granted(role).role] else 403)


def test_who_asks_for_what_they_may_not_stands_in_the_audit_trail(ask: Asking) -> None:
    assert ask("/admin/users", authorization=bearer(ask.desk)).status == 403
    assert ask("/admin/users").status == 401
    (entry,) = [one for one in ask.desk.audit.entries() if one.kind == "access.refused"]
    assert (entry.by, entry.what, entry.body["permission"]) == ("viewer-0", "GET /admin/users", "users.manage")


def test_a_permission_is_held_for_the_systems_of_its_own_role() -> None:
    who = Principal("li", (Grant("viewer"), Grant("operator", ("toys",))))
    assert who.may("findings.read", "elsewhere")
    assert who.may("findings.triage", "toys")
    assert not who.may("findings.triage", "elsewhere")
    assert [one for one in PERMISSIONS if Principal("").may(one)] == ["anyone"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x_csrf_token": "0" * 64},
        {"x_csrf_token": "right", "origin": "https://elsewhere.example"},
        {"x_csrf_token": "right", "origin": "null"},
        {"x_csrf_token": "right", "origin": "http://["},
        {"x_csrf_token": "right", "sec_fetch_site": "cross-site"},
        {"x_csrf_token": "right", "sec_fetch_site": "same-site"},
    ],
    ids=["no token", "another's token", "another origin", "no origin", "no address", "another site", "a sibling"],
)
def test_a_change_that_another_site_asks_for_is_refused(ask: Asking, headers: dict[str, str]) -> None:
    cookie, csrf = ask.session(Grant("admin"))
    sent = {name: csrf if value == "right" else value for name, value in headers.items()}
    assert ask("/account/prefer", {"theme": "dark"}, cookie=cookie, **sent).status == 403
    assert ask("/account/prefer", {"theme": "dark"}, cookie=cookie, x_csrf_token=csrf).status == 303


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8470", 200), ("localhost", 200), ("[::1]:1", 200), ("evil.example", 421), ("", 421), ("[", 421)],
)
def test_a_foreign_name_is_not_answered(ask: Asking, host: str, status: int) -> None:
    assert ask("/login", host=host).status == status


def test_every_answer_carries_the_headers(ask: Asking) -> None:
    for answer in (ask("/login"), ask("/findings"), ask("/static/console.css"), ask("/static/nothing.css")):
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
    assert ask("/login").headers["cache-control"] == "no-store"
    assert "httponly" in ask("/login").headers["set-cookie"].lower()
    assert "samesite=strict" in ask("/login").headers["set-cookie"].lower()


def test_a_login_gives_a_new_session_and_guessing_is_slowed_down_by_account(ask: Asking) -> None:
    ask.session(Grant("viewer"))
    assert ask.login("wang", PASSWORD).cookies["session"]
    for _ in range(BY_ACCOUNT):
        assert ask.login("wang", "wrong").status == 401
    assert ask.login("wang", PASSWORD).status == 429
    ask.clock.pass_(seconds=WINDOW.total_seconds() + 2)
    assert ask.login("wang", PASSWORD).status == 303


def test_guessing_many_accounts_is_slowed_down_by_address(ask: Asking) -> None:
    for number in range(BY_ADDRESS):
        ask.desk.limits.failed(f"somebody-{number}", "192.0.2.7")
    assert ask.login("anybody", "wrong").status == 429


@pytest.mark.parametrize(
    "ends",
    ["idle", "old", "roles", "password", "disabled", "logout"],
)
def test_a_session_ends(ask: Asking, ends: str) -> None:
    cookie, csrf = ask.session(Grant("viewer"))
    assert ask("/account", cookie=cookie).status == 200
    if ends == "idle":
        ask.clock.pass_(seconds=IDLE.total_seconds() + 1)
    elif ends == "old":
        for _ in range(int(LONGEST / IDLE) * 2 + 1):
            ask.clock.pass_(seconds=IDLE.total_seconds() / 2)
            ask("/account", cookie=cookie)
    elif ends == "roles":
        ask.desk.users.grant("wang", [Grant("admin")], "test")
    elif ends == "password":
        ask.desk.users.password("wang", PASSWORD + "!", "test")
    elif ends == "disabled":
        ask.desk.users.disable("wang", "test")
    else:
        ask("/logout", {"csrf": csrf}, cookie=cookie)
    assert ask("/account", cookie=cookie).status == 401


def test_who_is_disabled_does_not_come_in_again(ask: Asking) -> None:
    ask.session(Grant("viewer"))
    ask.desk.users.disable("wang", "test")
    assert ask.login("wang", PASSWORD).status == 401
    token = bearer(ask.desk)
    ask.desk.bearers.disable("viewer-0", "test")
    assert ask("/api/findings", authorization=token).status == 401


def test_the_first_link_works_once_and_for_a_while(ask: Asking) -> None:
    secret = ask.desk.links.make("first-admin", WINDOW)
    assert ask(f"/welcome/{secret}").status == 200
    assert ask.desk.links.valid(secret, "first-admin")
    assert not ask.desk.links.use(secret, "sign-in")
    secret = ask.desk.links.make("first-admin", WINDOW)
    assert [ask.desk.links.use(secret, "first-admin") for _ in range(2)] == [True, False]
    late = ask.desk.links.make("first-admin", WINDOW)
    ask.clock.pass_(seconds=WINDOW.total_seconds() + 1)
    assert ask(f"/welcome/{late}").status == 410


def test_of_many_who_use_a_link_at_once_one_is_let_in(ask: Asking) -> None:
    secret = ask.desk.links.make("first-admin", WINDOW)
    door = ask(f"/welcome/{secret}")
    (csrf,) = re.findall(r'name="csrf" value="([0-9a-f]{64})"', door.text)

    def come(number: int) -> int:
        form = {"name": f"li-{number}", "password": PASSWORD, "again": PASSWORD, "csrf": csrf}
        return ask(f"/welcome/{secret}", form, cookie=f"xmsec-visit={door.cookies['visit']}").status

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(come, range(4))) == [303, 410, 410, 410]
    assert len(ask.desk.users.every()) == 1


def test_a_link_of_somebody_who_is_disabled_sets_no_password(ask: Asking) -> None:
    ask.session(Grant("viewer"), name="wang")
    secret = ask.desk.links.invite("wang", WINDOW)
    door = ask(f"/join/{secret}")
    (csrf,) = re.findall(r'name="csrf" value="([0-9a-f]{64})"', door.text)
    ask.desk.users.disable("wang", "test")
    form = {"password": "another long one", "again": "another long one", "csrf": csrf}
    assert ask(f"/join/{secret}", form, cookie=f"xmsec-visit={door.cookies['visit']}").status == 410
    ask.desk.users.disable("wang", "test", disabled=False)
    assert ask.desk.users.known("wang", PASSWORD)


def test_a_machine_bears_no_name_of_a_person(ask: Asking) -> None:
    ask.session(Grant("viewer"), name="wang")
    with pytest.raises(ConfigError, match="taken"):
        ask.desk.bearers.add("wang", Grant("viewer"), "test")
    ask.desk.bearers.add("siem", Grant("viewer"), "test")
    with pytest.raises(ConfigError, match="taken"):
        ask.desk.users.add("siem", PASSWORD, [Grant("viewer")], "test")


class Growing:
    """A reader of findings whose number grows: their time is so old that none is among the latest."""

    def __init__(self) -> None:
        self.totals = {"ours": 1, "theirs": 1}

    def count(self, _: Query, by: Sequence[str]) -> Mapping[tuple[str, ...], int]:
        return {(system,): total for system, total in self.totals.items()} if by else {(): sum(self.totals.values())}

    def page(self, _: Query) -> StorePage:
        return StorePage([], None)


@pytest.mark.parametrize(("systems", "more"), [(("ours",), 1), (("*",), 5)], ids=["ours", "every"])
def test_news_count_nothing_of_a_foreign_system(systems: tuple[str, ...], more: int) -> None:
    async def heard() -> str:
        reader: Any = Growing()
        stream = Live(lambda: reader).stream(lambda _: True, frozenset(systems))
        async for said in stream:
            if "event: here" in said:
                reader.totals = {"ours": 2, "theirs": 5}
            elif "event: news" in said:
                await stream.aclose()
                return said
        raise AssertionError("no news")

    assert f'"more":{more},' in asyncio.run(heard())


def test_no_secret_lies_in_the_file(ask: Asking, tmp_path: Path) -> None:
    cookie, _ = ask.session(Grant("viewer"))
    secrets = [PASSWORD, cookie.partition("=")[2], bearer(ask.desk).split()[1], ask.desk.links.make("sign-in", WINDOW)]
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("console.sqlite*"))
    assert b"$argon2id$" in kept
    assert [secret for secret in secrets if secret.encode() in kept] == []
    assert (tmp_path / "console.sqlite").stat().st_mode & 0o077 == 0


def test_the_audit_trail_is_append_only_and_shows_what_was_altered(ask: Asking) -> None:
    ask.session(Grant("viewer"))
    assert ask.desk.audit.broken() is None
    with ask.desk.keep.reading() as connection:
        for statement in ("UPDATE audit SET by = 'li'", "DELETE FROM audit"):
            with pytest.raises(Exception, match="append-only"):
                connection.execute(statement)
        connection.execute("DROP TRIGGER audit_is_never_changed")
        connection.execute("UPDATE audit SET by = 'li' WHERE number = 2")
    assert ask.desk.audit.broken() == 2


def test_reading_a_graded_finding_is_noted(ask: Asking) -> None:
    before = len(ask.desk.audit.entries())
    token = bearer(ask.desk)
    found = ask("/api/findings?limit=1", authorization=token).text
    (known,) = re.findall(r'"id":"([0-9a-f]{32})","time"', found)[:1]
    assert ask(f"/findings/{known}", authorization=token).status == 200
    graded = '"grade":null' not in found
    assert len(ask.desk.audit.entries()) - before == 1 + 2 * graded  # in the list, and by itself


@pytest.mark.parametrize("query", ["since=yesterday", "after=nothing", "entity.type=x&order=id;drop"])
def test_a_strange_address_breaks_nothing(ask: Asking, query: str) -> None:
    assert ask(f"/findings?{query}", authorization=bearer(ask.desk)).status in (200, 400)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_time_break_no_count(ask: Asking, since: str) -> None:
    assert ask(f"/findings/facets?since={since}", authorization=bearer(ask.desk)).status == 200


@pytest.mark.parametrize(("back", "leads"), [("//[", "/"), ("/findings?q=门", "/findings?q=%E9%97%A8")])
def test_wherever_a_page_says_it_came_from_its_answer_can_be_sent(ask: Asking, back: str, leads: str) -> None:
    cookie, csrf = ask.session(Grant("viewer"))
    answer = ask("/account/prefer", {"back": back}, cookie=cookie, x_csrf_token=csrf, hx_request="true")
    assert answer.headers["hx-redirect"] == leads
    assert ask("/findings", hx_request="true", hx_current_url="http://[").headers["hx-redirect"] == "/login?next="


def test_what_came_from_a_log_is_text(ask: Asking, tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>{{7*7}}'
    with closing(Sqlite(tmp_path)) as store:
        row = store.reader.page(Query("findings", limit=1)).rows[0]
        sql = "UPDATE findings SET body = CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB) WHERE id = ?"
        store.connection.execute(sql, (row["entity"]["id"], hostile.replace('"', '\\"'), row["id"]))
    token = bearer(ask.desk)
    for path in ("/findings", f"/findings/{row['id']}"):
        text = ask(path, authorization=token).text
        assert "alert(1)" in text
        assert "<script>alert" not in text
        assert "{{7*7}}" in text


@pytest.mark.parametrize(
    ("grants", "stands_in"),
    [
        ((Grant("responder"),), True),
        ((Grant("responder", ("toys",)),), True),
        ((Grant("responder", ("elsewhere",)), Grant("operator")), False),
        ((Grant("data-officer"),), False),
        ((Grant("admin"),), True),
        ((), False),
    ],
    ids=["everywhere", "here", "elsewhere", "another role", "an administrator", "nobody"],
)
def test_a_role_that_a_playbook_names_is_held_for_the_system(grants: tuple[Grant, ...], stands_in: bool) -> None:
    assert Principal("li", grants).acts_as("responder", "toys") is stands_in
