"""What a page is given: who asks, for what, in which language; and how it declares itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from xmsec.console.access import Permission, Principal
from xmsec.console.audit import Audit
from xmsec.console.given import Records
from xmsec.console.limits import Limits
from xmsec.console.pace import Pace
from xmsec.console.rates import Rates
from xmsec.console.scoped import Scoped
from xmsec.console.secret import made
from xmsec.console.sessions import Bearers, Links, Session, Sessions
from xmsec.console.texts import Catalogue, one_language
from xmsec.console.users import LANGUAGES, Users
from xmsec.runtime.cases import Place, Said

if TYPE_CHECKING:
    from xmsec.console.federation import Federation
    from xmsec.console.keep import Keep
    from xmsec.console.live import Live


class Renders(Protocol):
    """Turns a template into a page."""

    def __call__(self, ask: Ask, template: str, facts: Mapping[str, Any]) -> str:
        """Return the page."""
        ...

    def rooms(self, who: Principal) -> Sequence[Page]:
        """Return the rooms of the navigation that are open to somebody."""
        ...


_IN_ADDRESSES = "/%?#=&:@[]!$'()*+,;"  # stay as they are; all else is no text of a header


class House(msgspec.Struct, frozen=True):
    """What all pages share.

    records: what they show and change; hosts: names under which it is asked for; federation: single sign-on, None where there
    is none.
    """

    records: Records
    keep: Keep
    users: Users
    sessions: Sessions
    links: Links
    bearers: Bearers
    limits: Limits
    rates: Rates
    audit: Audit
    texts: Catalogue
    render: Renders
    live: Live
    now: Callable[[], datetime]
    pace: Pace
    hosts: frozenset[str] = frozenset()
    federation: Federation | None = None


class Ask:
    """One request of somebody who may make it. form: what a POST carries, several values a name."""

    def __init__(self, request: Request, house: House, session: Session | None, who: Principal) -> None:
        self.request, self.house, self.session, self.who = request, house, session, who
        self.form: Mapping[str, Sequence[str]] = {}
        self.body = b""  # of a change that is no form
        self.cookies: dict[str, str | None] = {}  # to be set with the answer; None: to be forgotten
        self.language = who.language if who.name else _spoken(request)

    @property
    def partial(self) -> bool:
        """Whether htmx asks for a part of a page."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def address(self) -> str:
        """Where the request comes from."""
        return self.request.client.host if self.request.client else ""

    def t(self, key: str, **values: object) -> str:
        """Return a text in the language of who asks."""
        return self.house.texts.say(key, self.language, **values)

    def said(self, title: str) -> str:
        """Return the part of a bilingual title that is in the language of who asks."""
        return one_language(title, self.language)

    def value(self, name: str) -> str:
        """Return the first value that a form has for a name, or nothing."""
        return next(iter(self.form.get(name, ())), "")

    def reader(self, permission: Permission) -> Scoped:
        """Return the records of those systems for which a permission is held."""
        return Scoped(self.house.records.reader(), self.who, permission)

    def place(self, permission: Permission) -> Place:
        """Return where decisions on records of those systems are recorded."""
        return Place(self.reader(permission), self.house.records.acts)

    def saying(self, key: str = "") -> Said:
        """Return who decides, now. key: of the form, the same when it is sent again."""
        return Said(self.who.name, self.house.now(), f"{self.who.name} {key or made()}")

    def note(self, kind: str, what: str = "", **body: str) -> None:
        """Write what is done into the audit trail."""
        self.house.audit.note(kind, self.who.name, what, {**body, "address": self.address})

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        """Render a template with what it needs."""
        return HTMLResponse(self.house.render(self, template, facts), status)

    def problem(self, status: int, detail: str) -> Response:
        """Say what is wrong: to a person as a page, to a machine as RFC 9457 writes it."""
        if self.request.url.path.startswith("/api/"):
            body = {"status": status, "detail": detail}
            return JSONResponse(body, status, media_type="application/problem+json")
        return self.page("problem.html", status, code=status, detail=detail)

    def go(self, path: str) -> Response:
        """Send the browser on, to a path of this host alone."""
        path = quote(local(path), safe=_IN_ADDRESSES)
        if self.partial:
            return Response(status_code=204, headers={"hx-redirect": path})
        return RedirectResponse(path, 303)


def local(path: str) -> str:
    r"""Return a path of this host, whatever was asked for.

    >>> [local(one) for one in ("/findings?x=1", "//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example")]
    ['/findings?x=1', '/', '/', '/']
    """
    fits = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return path if fits else "/"


def _spoken(request: Request) -> str:
    asked = request.query_params.get("lang") or request.headers.get("accept-language", "")
    return "en" if asked[:2].lower() == "en" else LANGUAGES[0]


class View(msgspec.Struct, frozen=True):
    """One route: who may ask (a view that names no permission cannot be made), and what answers.

    by_itself: the page asks without its person (live news), so that it keeps no session alive; asks, takes: types of the
    parameters and of a JSON body; gives: a type, of which the answer is JSON, or a media type; status: of the answer; matches:
    a change that If-Match holds back; conflicts: one that the records may not allow as they stand.
    """

    path: str
    permission: Permission
    run: Callable[[Ask], Response]
    method: str = "GET"
    by_itself: bool = False
    asks: type[Any] | None = None
    takes: type[Any] | None = None
    gives: Any = "text/html"
    status: int = 200
    matches: bool = False
    conflicts: bool = False


class Page(msgspec.Struct, frozen=True):
    """One room: its views, and its place in the navigation (`icon` is a symbol of static/icons.svg; none: not there).

    Its texts lie in texts/<name>.yaml, `title` among them; its templates in templates/<name>*.html.
    """

    name: str
    views: tuple[View, ...]
    icon: str = ""

    @property
    def path(self) -> str:
        """Where the room begins."""
        return self.views[0].path

    @property
    def permission(self) -> Permission:
        """What is needed to enter."""
        return self.views[0].permission
