"""Administration: people with their roles and links, tokens of machines; by the same functions as `xmsec user`.

Roles of a person decide what everybody sees, so that all of this is open to those alone who hold it for every system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from xmsec.console.access import EVERY, ROLES, Grant, granted
from xmsec.console.ask import Ask, Page, View
from xmsec.console.secret import made
from xmsec.console.users import NAME_CHARACTERS, User
from xmsec.model.errors import ConfigError, PolicyError

INVITATION = timedelta(days=3)  # over a weekend
DONE = ("roles", "left", "disabled", "enabled", "revoked")
LATEST = 20  # entries of the audit trail on somebody's own page


def first(ask: Ask) -> Response:
    """Send on to the first tab that is open to who asks."""
    return ask.go("/admin/users" if ask.who.may("users.manage") else "/admin/audit")


def people(ask: Ask) -> Response:
    """List people."""
    return _people(ask)


def add(ask: Ask) -> Response:
    """Add a person, and show the link by which they set their password: this once."""
    _whole(ask)
    name, grants = ask.value("name").strip()[:NAME_CHARACTERS], chosen(ask.form.get("grant", ()))
    if not grants:
        return _people(ask, 400, problem=ask.t("admin.no-role"), name=name)
    try:
        with ask.house.keep.writing():
            ask.house.users.add(name, made(), grants, ask.who.name)
            link = _link(ask, name)
    except ConfigError:
        return _people(ask, 400, problem=ask.t("admin.name-taken"), name=name)
    return _person(ask, name, link=link)


def person(ask: Ask) -> Response:
    """Show a person: roles, sessions, what was done to them last."""
    return _person(ask, ask.request.path_params["name"])


def roles(ask: Ask) -> Response:
    """Give a person these roles and no others; their sessions end."""
    _whole(ask)
    name, grants = ask.request.path_params["name"], chosen(ask.form.get("grant", ()))
    try:
        ask.house.users.grant(name, grants, ask.who.name)
    except PolicyError:
        return _person(ask, name, 409, problem=ask.t("admin.last"))
    return _back(ask, name, "roles")


def disable(ask: Ask) -> Response:
    """Let a person in no more, or again."""
    _whole(ask)
    name, disabled = ask.request.path_params["name"], ask.value("state") != "enabled"
    try:
        ask.house.users.disable(name, ask.who.name, disabled=disabled)
    except PolicyError:
        return _person(ask, name, 409, problem=ask.t("admin.last"))
    return _back(ask, name, "disabled" if disabled else "enabled")


def leave(ask: Ask) -> Response:
    """End every session of a person."""
    _whole(ask)
    name = ask.request.path_params["name"]
    ask.house.users.leave(name, ask.who.name)
    return _back(ask, name, "left")


def invite(ask: Ask) -> Response:
    """Make a new link by which a person sets their password, and show it: this once."""
    _whole(ask)
    name = ask.request.path_params["name"]
    with ask.house.keep.writing():
        return _person(ask, name, link=_link(ask, name))


def tokens(ask: Ask) -> Response:
    """List tokens."""
    return _tokens(ask)


def add_token(ask: Ask) -> Response:
    """Make a token and show it: this once."""
    _whole(ask)
    name, systems = ask.value("name").strip(), [one for one in ask.form.get("system", ()) if one != EVERY]
    if not name or len(name) > NAME_CHARACTERS:
        return _tokens(ask, 400, problem=ask.t("admin.name-taken"), name=name)
    try:
        secret = ask.house.bearers.add(name, granted(ask.value("role"), systems), ask.who.name)
    except ConfigError:
        return _tokens(ask, 400, problem=ask.t("admin.name-taken"), name=name)
    return _tokens(ask, secret=secret, made=name)


def revoke(ask: Ask) -> Response:
    """Let a token in no more."""
    _whole(ask)
    if not ask.house.bearers.disable(ask.value("name"), ask.who.name):
        return ask.problem(404, ask.t("admin.no-token"))
    return ask.go("/admin/tokens?done=revoked")


def chosen(pairs: Sequence[str]) -> list[Grant]:
    """Read the matrix of roles and systems. Raises ConfigError for a role that is none.

    >>> chosen(["viewer *", "operator office", "operator cockpit"])
    [Grant(role='viewer', systems=('*',)), Grant(role='operator', systems=('cockpit', 'office'))]
    """
    systems: dict[str, set[str]] = {}
    for role, _, system in (pair.partition(" ") for pair in pairs):
        systems.setdefault(role, set()).add(system or EVERY)
    return [granted(role, () if EVERY in several else several) for role, several in systems.items()]


def _whole(ask: Ask) -> None:
    if EVERY not in ask.who.reaches("users.manage"):
        raise PolicyError(ask.t("admin.whole"))


def _link(ask: Ask, name: str) -> str:
    """Make a link for somebody, and note that there is one."""
    known = next((one for one in ask.house.users.every() if one.name == name), None)
    if known is None or known.disabled:
        raise ConfigError(ask.t("admin.gone"), where=name)
    if known.federated:
        raise PolicyError(ask.t("sso.no-password"))
    ask.note("user.link", name)
    secret = ask.house.links.invite(name, INVITATION)
    return f"{ask.request.url.scheme}://{ask.request.url.netloc}/join/{secret}"


def _people(ask: Ask, status: int = 200, **facts: Any) -> Response:
    _whole(ask)
    given: Mapping[str, Any] = {"problem": "", "name": "", "known": None, **facts}
    return ask.page("admin_users.html", status, people=ask.house.users.every(), done=_done(ask), **_choices(ask), **given)


def _person(ask: Ask, name: str, status: int = 200, **facts: Any) -> Response:
    _whole(ask)
    known: User | None = next((one for one in ask.house.users.every() if one.name == name), None)
    if known is None:
        return ask.problem(404, ask.t("admin.gone"))
    given = {"problem": "", "link": "", "days": INVITATION.days, **facts}
    told = ask.house.audit.told_of(name, LATEST)
    return ask.page("admin_user.html", status, known=known, told=told, done=_done(ask), **_choices(ask), **given)


def _tokens(ask: Ask, status: int = 200, **facts: Any) -> Response:
    _whole(ask)
    given: Mapping[str, Any] = {"problem": "", "name": "", "secret": "", "made": "", **facts}
    return ask.page("admin_tokens.html", status, every=ask.house.bearers.every(), done=_done(ask), **_choices(ask), **given)


def _choices(ask: Ask) -> Mapping[str, Any]:
    """Return roles and systems that can be given: those of the content, and those that somebody holds."""
    held = {system for one in ask.house.users.every() for grant in one.grants for system in grant.systems}
    systems = sorted({*held, *(stream.system for stream in ask.house.records.streams.values())} - {EVERY})
    return {"roles": ROLES, "systems": systems}


def _done(ask: Ask) -> str:
    done = ask.request.query_params.get("done", "")
    return ask.t(f"admin.done-{done}") if done in DONE else ""


def _back(ask: Ask, name: str, done: str) -> Response:
    return ask.go(f"/admin/users/{quote(name, safe='')}?done={done}")


PAGE = Page(
    "admin",
    (
        View("/admin", "audit.read", first),
        View("/admin/users", "users.manage", people),
        View("/admin/users", "users.manage", add, "POST"),
        View("/admin/users/{name}", "users.manage", person),
        View("/admin/users/{name}/roles", "users.manage", roles, "POST"),
        View("/admin/users/{name}/disable", "users.manage", disable, "POST"),
        View("/admin/users/{name}/leave", "users.manage", leave, "POST"),
        View("/admin/users/{name}/link", "users.manage", invite, "POST"),
        View("/admin/tokens", "users.manage", tokens),
        View("/admin/tokens", "users.manage", add_token, "POST"),
        View("/admin/tokens/revoke", "users.manage", revoke, "POST"),
    ),
    icon="admin",
)
