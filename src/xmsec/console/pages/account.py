"""One's own account: language, theme, password."""

from __future__ import annotations

from starlette.responses import Response

from xmsec.console.ask import Ask, Page, View
from xmsec.console.guard import cookie
from xmsec.console.users import LANGUAGES, THEMES
from xmsec.model.errors import ConfigError


def show(ask: Ask) -> Response:
    """Show who one is, and what one may."""
    return _shown(ask)


def prefer(ask: Ask) -> Response:
    """Keep language and theme, and show the page again that one came from."""
    language, theme = ask.value("language") or ask.who.language, ask.value("theme") or ask.who.theme
    ask.house.users.prefer(ask.who.name, language, theme)
    return ask.go(ask.value("back") or "/account")


def password(ask: Ask) -> Response:
    """Change the password; every session ends, and this one goes on under a new secret."""
    if ask.house.limits.wait_s(ask.who.name, ask.address):
        return _shown(ask, 429, ask.t("account.wait"))
    if not ask.house.users.known(ask.who.name, ask.value("present")):
        ask.house.limits.failed(ask.who.name, ask.address)
        return _shown(ask, 400, ask.t("account.wrong"))
    if ask.value("password") != ask.value("again"):
        return _shown(ask, 400, ask.t("account.not-the-same"))
    try:
        ask.house.users.password(ask.who.name, ask.value("password"), ask.who.name)
    except ConfigError:
        return _shown(ask, 400, ask.t("account.password-length"))
    ask.cookies[cookie(ask.request)] = ask.house.sessions.open(ask.who.name)
    return ask.go("/account?done=password")


def _shown(ask: Ask, status: int = 200, problem: str = "") -> Response:
    done = "done" in ask.request.query_params
    return ask.page("account.html", status, problem=problem, done=done, languages=LANGUAGES, themes=THEMES)


PAGE = Page(
    "account",
    (
        View("/account", "signed-in", show),
        View("/account/prefer", "signed-in", prefer, "POST"),
        View("/account/password", "signed-in", password, "POST"),
    ),
)
