"""The door: login, one-time links, leaving; the files that pages are made of."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from xmsec.console.access import Grant
from xmsec.console.ask import Ask, Page, View
from xmsec.console.guard import cookie, visit
from xmsec.console.render import assets
from xmsec.console.users import NAME_CHARACTERS
from xmsec.model.errors import ConfigError, XmsecError

_STATIC = assets()


def home(ask: Ask) -> Response:
    """Send on to the first room that is open to who asks."""
    rooms = ask.house.render.rooms(ask.who)
    return ask.go(rooms[0].path if rooms else "/account")


def static(ask: Ask) -> Response:
    """Give a file; for a year where it is asked for by its mark."""
    found = _STATIC.get(ask.request.path_params["name"])
    if found is None:
        return ask.problem(404, ask.t("base.not-found"))
    lasting = ask.request.query_params.get("v") == found.mark
    return Response(
        found.body, media_type=found.type, headers={"cache-control": f"max-age={31_536_000 if lasting else 60}, immutable"}
    )


def login(ask: Ask) -> Response:
    """Show the login."""
    return door(ask)


def sign_in(ask: Ask) -> Response:
    """Let somebody in who knows their password; slow down who guesses."""
    name = ask.value("name").strip()[:NAME_CHARACTERS]
    limits = ask.house.limits
    if wait_s := limits.wait_s(name, ask.address):
        return later(ask, wait_s)
    if not ask.house.users.known(name, ask.value("password")):
        limits.failed(name, ask.address)
        ask.house.audit.note("login.failed", "", name, {"address": ask.address})
        return door(ask, 401, ask.t("front.wrong"))
    limits.succeeded(name)
    return _enter(ask, name, ask.value("next") or "/")


def sign_out(ask: Ask) -> Response:
    """End the session."""
    if ask.session is not None:
        ask.house.sessions.end(ask.session.hash)
        ask.note("logout")
    ask.cookies[cookie(ask.request)] = None
    return ask.go("/login")


def welcome(ask: Ask) -> Response:
    """Show whoever holds the first link the form that makes the first administrator."""
    secret = ask.request.path_params["secret"]
    if not ask.house.links.valid(secret, "first-admin"):
        return ask.problem(410, ask.t("front.link-used"))
    return ask.page("front_welcome.html", secret=secret, visit=visit(ask), problem="", name="")


def first_admin(ask: Ask) -> Response:
    """Make the first administrator, once."""
    secret, name = ask.request.path_params["secret"], ask.value("name").strip()[:NAME_CHARACTERS]
    links, users = ask.house.links, ask.house.users
    if not links.valid(secret, "first-admin"):
        return ask.problem(410, ask.t("front.link-used"))
    problem = "" if ask.value("password") == ask.value("again") else ask.t("front.not-the-same")
    if not problem:
        try:
            with ask.house.keep.writing():
                if not links.use(secret, "first-admin"):  # somebody else did, meanwhile
                    return ask.problem(410, ask.t("front.link-used"))
                users.add(name, ask.value("password"), [Grant("admin")], "first-admin link")
        except XmsecError as error:
            problem = ask.t("front.password-length") if error.what == "password-length" else ask.t("front.name-taken")
    if problem:
        facts: dict[str, Any] = {"secret": secret, "visit": visit(ask), "problem": problem, "name": name}
        return ask.page("front_welcome.html", 400, **facts)
    users.prefer(name, ask.language, ask.who.theme)
    return _enter(ask, name, "/")


def join(ask: Ask) -> Response:
    """Show whom an administrator's link names the form that sets their password."""
    return _joining(ask)


def joined(ask: Ask) -> Response:
    """Set the password of whom the link names, use the link up, and let them in."""
    secret = ask.request.path_params["secret"]
    name = ask.house.links.invited(secret)
    if name is None or ask.house.users.principal(name) is None:  # disabled meanwhile
        return _joining(ask)
    if ask.value("password") != ask.value("again"):
        return _joining(ask, 400, ask.t("front.not-the-same"))
    try:
        with ask.house.keep.writing():
            if not ask.house.links.use(secret, None):  # somebody else did, meanwhile
                return _joining(ask)
            ask.house.users.password(name, ask.value("password"), name)
    except ConfigError:
        return _joining(ask, 400, ask.t("front.password-length"))
    return _enter(ask, name, "/")


def _joining(ask: Ask, status: int = 200, problem: str = "") -> Response:
    secret = ask.request.path_params["secret"]
    name = ask.house.links.invited(secret)
    if name is None or ask.house.users.principal(name) is None:
        return ask.problem(410, ask.t("front.join-used"))
    return ask.page("front_join.html", status, secret=secret, visit=visit(ask), problem=problem, name=name)


def by_link(ask: Ask) -> Response:
    """Let the demo's local browser in, once."""
    names = [user.name for user in ask.house.users.every() if not user.disabled]
    if not names or not ask.house.links.use(ask.request.path_params["secret"], "sign-in"):
        return ask.problem(410, ask.t("front.link-used"))
    return _enter(ask, names[0], "/")


def _enter(ask: Ask, name: str, path: str) -> Response:
    let_in(ask, name)
    return ask.go(path)


def let_in(ask: Ask, name: str, **body: str) -> None:
    """Open a session under a new secret; the one that was there before ends. body: how somebody came, for the audit trail."""
    if ask.session is not None:
        ask.house.sessions.end(ask.session.hash)
    ask.cookies[cookie(ask.request)] = ask.house.sessions.open(name)
    ask.house.audit.note("login", name, "", {**body, "address": ask.address})


def later(ask: Ask, wait_s: int) -> Response:
    """Say that there were too many tries, and how long to wait."""
    answer = door(ask, 429, ask.t("front.wait", minutes=-(-wait_s // 60)))
    answer.headers["retry-after"] = str(wait_s)
    return answer


def door(ask: Ask, status: int = 200, problem: str = "") -> Response:
    """Show the login, and what was wrong with the try before."""
    following = ask.value("next") or ask.request.query_params.get("next", "/")
    facts: dict[str, Any] = {"next": following, "name": ask.value("name"), "sso": ask.house.federation is not None}
    return ask.page("front_login.html", status, visit=visit(ask), problem=problem, **facts)


PAGE = Page(
    "front",
    (
        View("/", "signed-in", home),
        View("/static/{name}", "anyone", static),
        View("/login", "anyone", login),
        View("/login", "anyone", sign_in, "POST"),
        View("/logout", "signed-in", sign_out, "POST"),
        View("/welcome/{secret}", "anyone", welcome),
        View("/welcome/{secret}", "anyone", first_admin, "POST"),
        View("/join/{secret}", "anyone", join),
        View("/join/{secret}", "anyone", joined, "POST"),
        View("/enter/{secret}", "anyone", by_link),
    ),
)
