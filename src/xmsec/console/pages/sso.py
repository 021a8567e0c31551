"""Single sign-on: off to the issuer, and back with its word."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from xmsec.console.ask import Ask, Page, View, local
from xmsec.console.federation import Federation, TurnedAwayError
from xmsec.console.guard import ARRIVAL, cookie
from xmsec.console.issuer import IdentityError
from xmsec.console.pages.front import door, later, let_in
from xmsec.console.secret import hashed, made
from xmsec.model.errors import ServiceError

CALLBACK = "/sso/callback"
FOLLOWING_CHARACTERS = 4_000  # of a page that is wanted: who asks is not known yet, and it is written down


def leave(ask: Ask) -> Response:
    """Send the browser to the issuer."""
    federation = ask.house.federation
    if federation is None:
        return ask.problem(404, ask.t("base.not-found"))
    if wait_s := ask.house.rates.wait_s(f"sso {ask.address}"):  # each writes a line: no more than a machine may ask
        return later(ask, wait_s)
    browser = _browser(ask) or made()
    callback = f"{ask.request.url.scheme}://{ask.request.headers['host']}{CALLBACK}"
    try:
        address = federation.issuer.address(
            federation.begin(browser, callback, local(ask.request.query_params.get("next", "/")[:FOLLOWING_CHARACTERS]))
        )
    except ServiceError as error:
        return _away(ask, error)
    ask.cookies[cookie(ask.request, ARRIVAL)] = browser
    return RedirectResponse(address, 303)


def arrive(ask: Ask) -> Response:
    """Let in whom the issuer vouches for."""
    federation = ask.house.federation
    if federation is None:
        return ask.problem(404, ask.t("base.not-found"))
    guessing = f"sso {hashed(_browser(ask))}"  # this browser; the address counts apart
    if wait_s := ask.house.limits.wait_s(guessing, ask.address):
        return later(ask, wait_s)
    try:
        name, following = _vouched_for(ask, federation)
    except ServiceError as error:
        return _away(ask, error)
    except TurnedAwayError as error:  # the issuer knows them: nobody guesses
        ask.house.audit.note("login.failed", "", error.where, {"address": ask.address, "why": error.what.removeprefix("sso.")})
        return door(ask, 403, ask.t(error.what))
    except IdentityError as error:
        ask.house.limits.failed(guessing, ask.address)
        ask.house.audit.note("login.failed", "", "", {"address": ask.address, "why": error.what})
        return door(ask, 401, ask.t("sso.not-vouched"))
    ask.cookies[cookie(ask.request, ARRIVAL)] = None
    let_in(ask, name, issuer=federation.issuer.declared.issuer)
    # A redirect would still be the issuer's, and bring no cookie of ours: the page goes on by itself.
    return ask.page("sso_arrived.html", following=local(following))


def _vouched_for(ask: Ask, federation: Federation) -> tuple[str, str]:
    """Return who comes, and the page that they wanted. Raises IdentityError, TurnedAwayError, ServiceError."""
    given = ask.request.query_params
    begun = federation.finish(given.get("state", ""), _browser(ask))
    if begun is None:
        raise IdentityError("no sign-in was begun, or it was answered before")
    sought, following = begun
    issuer = federation.issuer
    if given.get("iss", issuer.declared.issuer) != issuer.declared.issuer:  # RFC 9207
        raise IdentityError("another issuer answers")
    if "code" not in given:
        raise IdentityError("the issuer refuses")
    return federation.admit(issuer.claims(given["code"], sought)), following


def _browser(ask: Ask) -> str:
    """Return the secret of a browser that was sent to the issuer: else who plants it could sign others in as themselves."""
    return ask.request.cookies.get(cookie(ask.request, ARRIVAL), "")


def _away(ask: Ask, error: ServiceError) -> Response:
    ask.house.audit.note("login.failed", "", "", {"address": ask.address, "why": error.what})
    return door(ask, 503, ask.t("sso.away"))


PAGE = Page("sso", (View("/sso", "anyone", leave), View(CALLBACK, "anyone", arrive)))
