"""Templates, and how they show times, titles, tokens; everything that came from a log is text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
import msgspec
from markupsafe import Markup, escape

from xmsec.console.phrases import Phrases
from xmsec.console.texts import catalogue
from xmsec.model.clock import from_rfc3339

if TYPE_CHECKING:
    from datetime import datetime

    from xmsec.console.access import Principal
    from xmsec.console.ask import Ask, Page

_TOKEN = re.compile(r"⟨([A-Z0-9_]+):([0-9a-f]{4})([0-9a-f]*)⟩")
_BARE = Markup('<span class="token" title="{token}"><b>{type}</b>{begins}</span>')
_FOLLOWED = Markup('<a class="token" href="/trail?of=subject&amp;name={name}" title="{token}"><b>{type}</b>{begins}</a>')
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Asset(msgspec.Struct, frozen=True):
    """A file that pages ask for; mark: changes with its content."""

    body: bytes
    type: str
    mark: str


@cache
def assets() -> Mapping[str, Asset]:
    """Read all static files, by name."""
    found: dict[str, Asset] = {}
    for entry in resources.files(__package__).joinpath("static").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            body = entry.read_bytes()
            found[entry.name] = Asset(body, f"{kind}; charset=utf-8", sha256(body).hexdigest()[:16])
    return found


class Renderer:
    """Renders a template for one who asks."""

    def __init__(self, pages: Sequence[Page], static: Mapping[str, Asset]) -> None:
        self._pages, self._static, self._phrases = pages, static, Phrases(catalogue().texts)
        self._paths = frozenset(view.path for page in pages for view in page.views)
        self._environment = jinja2.Environment(
            loader=jinja2.PackageLoader(__package__ or "", "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            tokens=tokens, flat=lambda value: list(flat(value)), json=lambda value: msgspec.json.encode(value).decode()
        )

    def __call__(self, ask: Ask, template: str, facts: Mapping[str, Any]) -> str:
        """Return the page. facts: what this template needs beside what every one has."""

        def when(text: str, form: str = "%m-%d %H:%M:%S") -> str:
            return f"{from_rfc3339(text).astimezone(ask.house.records.zone):{form}}"

        def typed(at: datetime | None) -> str:
            return "" if at is None else f"{at.astimezone(ask.house.records.zone):%Y-%m-%dT%H:%M}"

        def asset(name: str) -> str:
            return f"/static/{name}?v={self._static[name].mark}"

        return self._environment.get_template(template).render(
            ask=ask,
            t=ask.t,
            said=ask.said,
            phrase=lambda part, text: self._phrases.say(part, text, ask.language),
            who=ask.who,
            csrf=ask.session.csrf if ask.session else "",
            when=when,
            typed=typed,
            static=asset,
            nav=self.rooms(ask.who),
            paths=self._paths,
            **facts,
        )

    def rooms(self, who: Principal) -> Sequence[Page]:
        """Return the rooms of the navigation that are open to somebody."""
        return [page for page in self._pages if page.icon and who.may(page.permission)]


def tokens(text: object, followed: bool = False) -> Markup:
    """Write a text with its tokens set apart: the type, and enough of the fingerprint to tell two from each other.

    followed: each leads to the form that asks for its trail.

    >>> tokens("<b> ⟨CN_MOBILE:5f2a9c1e00112233⟩")
    Markup('&lt;b&gt; <span class="token" title="⟨CN_MOBILE:5f2a9c1e00112233⟩"><b>CN_MOBILE</b>5f2a</span>')
    """
    pieces: list[Markup] = []
    last, said = 0, str(text)
    for found in _TOKEN.finditer(said):
        facts = {"token": found[0], "type": found[1], "begins": found[2], "name": quote(found[0])}
        pieces += [escape(said[last : found.start()]), (_FOLLOWED if followed else _BARE).format(**facts)]
        last = found.end()
    return Markup("").join([*pieces, escape(said[last:])])


def flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of a nested document with their dotted names, in order."""
    for name, below in sorted(value.items()):
        if isinstance(below, dict):
            yield from flat(below, f"{above}{name}.")
        else:
            yield f"{above}{name}", ", ".join(map(str, below)) if isinstance(below, list | tuple) else str(below)
