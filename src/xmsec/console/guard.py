"""The one place where a request is let in: host, origin, session or token, permission; and what every answer carries.

Closed by default: a route is made by `guarded` of a View, which has a permission; `unguarded` finds any other.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xmsec.console.access import NOBODY, PERMISSIONS, Principal
from xmsec.console.ask import Ask, House, View
from xmsec.console.secret import hashed, made
from xmsec.console.sessions import Session
from xmsec.model.errors import ConfigError, PolicyError, ServiceError, XmsecError

BODY_BYTES = 256 << 10
FORM_FIELDS = 4_000  # a bulk change names up to some thousand records
JSON = ("application/json", "application/merge-patch+json")
COOKIE, VISIT, ARRIVAL = "xmsec-session", "xmsec-visit", "xmsec-arrival"
HOST = "__Host-"  # of a cookie that no other host and no plain page can set (RFC 6265bis section 4.1.3.2)
LASTS_S = {VISIT: 3600, ARRIVAL: 600, HOST + ARRIVAL: 600}  # others: until the browser is closed
LAX = frozenset(
    (ARRIVAL, HOST + ARRIVAL)
)  # comes along when an issuer sends the browser back; all others are of this site alone
_HOST = re.compile(r"[\w.:\[\]-]+")  # nothing of a path or a login: addresses are made of it
_SAFE = frozenset(("GET", "HEAD"))
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with none at all a form's own request says `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class RefusedError(Exception):
    """A request that is not let in."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        self.status, self.why = status, why
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(why)


class Guarded:
    """An endpoint that lets nobody in whom its view does not admit."""

    def __init__(self, house: House, view: View) -> None:
        self._house, self.view = house, view

    async def __call__(self, request: Request) -> Response:
        """Answer a request, or refuse it."""
        try:
            _of_this_host(request, self._house.hosts)
            body = await _body(request)
            ask = await run_in_threadpool(self._admitted, request, body)
        except RefusedError as refused:
            return self._finished(request, self._refusal(request, refused), {})
        answer = await run_in_threadpool(self._answered, ask)
        return self._finished(request, answer, ask.cookies)

    def _admitted(self, request: Request, body: bytes) -> Ask:
        """Find out who asks, and whether they may."""
        form = {} if self.view.takes is not None else _form(body)
        session, who = None, None
        if "authorization" in request.headers:
            who = self._house.bearers.find(request.headers["authorization"])
            if who is None:
                raise RefusedError(401, "no such token")
        elif secret := request.cookies.get(cookie(request)):
            session = self._house.sessions.find(secret, by_person=not self.view.by_itself)
            who = session.who if session else None
        if request.method not in _SAFE and "authorization" not in request.headers:
            _not_forged(request, form, session)
        who = who or NOBODY
        self._in_measure(request, who)
        if not who.may(self.view.permission):
            if who.name:  # the route as it is declared: what was asked for may hold anything
                where = request.client.host if request.client else ""
                said = {"permission": self.view.permission, "address": where}
                self._house.audit.note("access.refused", who.name, f"{self.view.method} {self.view.path}", said)
            raise RefusedError(403 if who.name else 401, self.view.permission)
        ask = Ask(request, self._house, session, who)
        ask.form, ask.body = form, body
        if self.view.takes is not None and _type(request) not in JSON:
            raise RefusedError(415, "content-type", Accept_Patch=", ".join(JSON))
        return ask

    def _in_measure(self, request: Request, who: Principal) -> None:
        """Hold a machine back that asks too often; pages of people are not counted, what their scripts ask of the API is."""
        if who.name and (who.machine or request.url.path.startswith("/api/")):
            wait_s = self._house.rates.wait_s(f"{'token' if who.machine else 'user'} {who.name}")
            if wait_s:
                raise RefusedError(429, "rate", Retry_After=str(wait_s))

    def _answered(self, ask: Ask) -> Response:
        try:
            return self.view.run(ask)
        except XmsecError as error:
            status = 403 if isinstance(error, PolicyError) else 503 if isinstance(error, ServiceError) else 400
            return ask.problem(status, str(error))

    def _refusal(self, request: Request, refused: RefusedError) -> Response:
        """Send a person to the login, tell a machine."""
        ask = Ask(request, self._house, None, NOBODY)
        wanted = "text/html" in request.headers.get("accept", "") or ask.partial
        if refused.status == 401 and wanted and request.method in _SAFE and "authorization" not in request.headers:
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            if ask.partial:  # the part of a page: the person is sent back to the whole of it
                path = _split(request.headers.get("hx-current-url", "/")).path
            return ask.go(f"/login?next={quote(path, safe='')}")
        answer = ask.problem(refused.status, ask.t(f"base.refused-{refused.status}"))
        answer.headers.update(refused.headers)
        if refused.status == 401:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _finished(self, request: Request, answer: Response, cookies: dict[str, str | None]) -> Response:
        for name, value in HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("cache-control", "no-store")
        secure = request.url.scheme == "https"
        if secure:
            answer.headers["strict-transport-security"] = "max-age=31536000"
        for name, kept in cookies.items():
            if kept is None:
                answer.delete_cookie(name, httponly=True, samesite="strict", secure=secure)
            else:
                same: Literal["lax", "strict"] = "lax" if name in LAX else "strict"
                answer.set_cookie(name, kept, max_age=LASTS_S.get(name), httponly=True, samesite=same, secure=secure)
        return answer


def cookie(request: Request, name: str = COOKIE) -> str:
    """Return a cookie's name: with TLS one that no other host and no plain page can set."""
    return HOST + name if request.url.scheme == "https" else name


def visit(ask: Ask) -> str:
    """Return what the form of somebody without a session carries against forgery, and set the cookie that it belongs to."""
    secret = ask.request.cookies.get(VISIT) or made()
    ask.cookies[VISIT] = secret
    return hashed(f"visit {secret}")


def guarded(house: House, views: Iterable[View]) -> list[Route]:
    """Make the routes of views. Raises ConfigError for one whose permission is none."""
    routes: list[Route] = []
    for view in sorted(views, key=lambda one: "{" in one.path):  # else `/findings/{id}` would take what `/findings/except` is
        if view.permission not in PERMISSIONS:
            raise ConfigError("a route without a permission", where=view.path, remedy="name one of access.Permission")
        endpoint: Any = Guarded(house, view)
        routes.append(Route(view.path, _callable(endpoint), methods=[view.method]))
    return routes


def _callable(endpoint: Guarded) -> Any:
    async def answer(request: Request) -> Response:
        return await endpoint(request)

    answer.view = endpoint.view  # type: ignore[attr-defined]  # for `unguarded`; Starlette takes plain functions only
    return answer


def unguarded(routes: Iterable[BaseRoute], known: Iterable[str]) -> list[str]:
    """Return the paths of routes that no view guards, apart from those that are known to have rules of their own."""
    kept = {*known}
    found = [route for route in routes if not hasattr(getattr(route, "endpoint", None), "view")]
    return sorted(path for path in (str(getattr(route, "path", route)) for route in found) if path not in kept)


def _of_this_host(request: Request, hosts: frozenset[str]) -> None:
    """Refuse a foreign name (DNS rebinding needs one: an address is nobody else's) and a change that another site asks for."""
    host = request.headers.get("host", "")
    name = (_split(f"//{host}").hostname or "") if _HOST.fullmatch(host) else ""
    if name != "localhost" and name not in hosts and not _address(name):
        raise RefusedError(421, "host")
    if request.method in _SAFE:
        return
    origin, fetched = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    if fetched not in ("same-origin", "none"):
        raise RefusedError(403, "sec-fetch-site")
    if origin is not None and _split(origin).netloc != request.headers.get("host"):
        raise RefusedError(403, "origin")


def _split(address: str) -> SplitResult:
    """Split an address; what is none has no part."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _body(request: Request) -> bytes:
    if request.method in _SAFE:
        return b""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise RefusedError(413, "body")
    return bytes(body)


def _form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise RefusedError(400, "form") from error


def _type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _not_forged(request: Request, form: dict[str, list[str]], session: Session | None) -> None:
    said = request.headers.get("x-csrf-token") or next(iter(form.get("csrf", ())), "")
    expected = session.csrf if session else hashed(f"visit {request.cookies.get(VISIT, '')}")
    if (
        not said
        or (session is None and VISIT not in request.cookies)
        or not hmac.compare_digest(said.encode(), expected.encode())
    ):
        raise RefusedError(403, "csrf")
