"""People: their names, passwords, roles, language and theme."""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import get_args

import msgspec

from xmsec.console.access import EVERY, Grant, Principal, Role
from xmsec.console.audit import Audit
from xmsec.console.keep import Keep
from xmsec.console.secret import of_password, opens
from xmsec.model.clock import rfc3339
from xmsec.model.errors import ConfigError, PolicyError

LANGUAGES = ("zh", "en")
THEMES = ("auto", "light", "dark", "wall")  # wall: the large screen of a control room
NAME_CHARACTERS = 64
# By whom something was done is one name in every record: no machine bears a person's.
_NAMES = "SELECT name FROM users UNION ALL SELECT name FROM tokens"
_NAME = re.compile(rf"[\w.@-]{{1,{NAME_CHARACTERS}}}")


def taken(connection: sqlite3.Connection, name: str) -> bool:
    """Whether somebody bears a name, or one that reads the same: `Wang` beside `wang`, or in full width."""
    return _alike(name) in {_alike(one) for (one,) in connection.execute(_NAMES)}


def _alike(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _administers(grant: Grant) -> bool:
    return grant.role == "admin" and EVERY in grant.systems


class User(msgspec.Struct, frozen=True):
    """A person as administration sees them.

    sessions: how many are open; seen: when one of them last asked for something; federated: they come by single sign-on.
    """

    name: str
    grants: tuple[Grant, ...]
    disabled: bool
    created: str
    sessions: int = 0
    seen: str = ""
    federated: bool = False


class Users:
    """Adds and changes people; each change is noted, and ends the sessions of whom it concerns."""

    def __init__(self, keep: Keep, audit: Audit, now: Callable[[], datetime]) -> None:
        self._keep, self._audit, self._now = keep, audit, now

    def add(self, name: str, password: str, grants: Sequence[Grant], by: str) -> None:
        """Add a person. Raises ConfigError when name or password cannot be."""
        if not _NAME.fullmatch(name):
            raise ConfigError("not a name", where="user", remedy="up to 64 letters, digits and . _ @ -")
        kept = of_password(password)
        with self._keep.writing() as connection:
            if taken(connection, name):
                raise ConfigError("the name is taken", where=name, remedy="choose another")
            row = (name, kept, LANGUAGES[0], THEMES[0], rfc3339(self._now()))
            connection.execute("INSERT INTO users VALUES (?, ?, ?, ?, 0, ?)", row)
            self._audit.note("user.added", by, name)
            self.grant(name, grants, by)

    def grant(self, name: str, grants: Sequence[Grant], by: str) -> None:
        """Give a person these roles and no others; who is signed in must sign in again. Raises ConfigError, PolicyError."""
        with self._keep.writing() as connection:
            self._present(name)
            if not any(map(_administers, grants)):
                self._spare(name)
            connection.execute("DELETE FROM grants WHERE name = ?", (name,))
            rows = [(name, one.role, " ".join(one.systems)) for one in grants]
            connection.executemany("INSERT OR REPLACE INTO grants VALUES (?, ?, ?)", rows)
            connection.execute("DELETE FROM sessions WHERE name = ?", (name,))
            self._audit.note("user.roles", by, name, {role: systems for _, role, systems in rows})

    def disable(self, name: str, by: str, *, disabled: bool = True) -> None:
        """Let a person in no more, or again. Raises ConfigError, PolicyError."""
        with self._keep.writing() as connection:
            self._present(name)
            if disabled:
                self._spare(name)
            connection.execute("UPDATE users SET disabled = ? WHERE name = ?", (disabled, name))
            connection.execute("DELETE FROM sessions WHERE name = ?", (name,))
            self._audit.note("user.disabled" if disabled else "user.enabled", by, name)

    def password(self, name: str, password: str, by: str) -> None:
        """Set a password, and end every session of this person. Raises ConfigError; PolicyError where an issuer vouches."""
        kept = of_password(password)
        with self._keep.writing() as connection:
            self._present(name)
            if self.federated(name):
                raise PolicyError("who comes by single sign-on has no password here", where=name, remedy="see docs/sso.md")
            connection.execute("UPDATE users SET password = ? WHERE name = ?", (kept, name))
            connection.execute("DELETE FROM sessions WHERE name = ?", (name,))
            self._audit.note("user.password", by, name)

    def leave(self, name: str, by: str) -> None:
        """End every session of a person. Raises ConfigError."""
        with self._keep.writing() as connection:
            self._present(name)
            connection.execute("DELETE FROM sessions WHERE name = ?", (name,))
            self._audit.note("user.sessions-ended", by, name)

    def known(self, name: str, password: str) -> bool:
        """Whether this is the password of a person who may come in."""
        with self._keep.reading() as connection:
            row = connection.execute("SELECT password FROM users WHERE name = ? AND disabled = 0", (name,)).fetchone()
        return opens(password, row[0] if row else None)

    def federated(self, name: str) -> bool:
        """Whether a person comes by single sign-on: then by it alone, or who left all groups would come in by a password."""
        with self._keep.reading() as connection:
            return connection.execute("SELECT 1 FROM federated WHERE name = ?", (name,)).fetchone() is not None

    def prefer(self, name: str, language: str, theme: str) -> None:
        """Keep how somebody wants pages. Raises ConfigError."""
        if language not in LANGUAGES or theme not in THEMES:
            raise ConfigError("no such language or theme", remedy=", ".join((*LANGUAGES, *THEMES)))
        with self._keep.writing() as connection:
            connection.execute("UPDATE users SET language = ?, theme = ? WHERE name = ?", (language, theme, name))

    def principal(self, name: str) -> Principal | None:
        """Return a person as who asks; None for one who is not there, or is let in no more."""
        with self._keep.reading() as connection:
            row = connection.execute("SELECT language, theme FROM users WHERE name = ? AND disabled = 0", (name,)).fetchone()
        return None if row is None else Principal(name, self._grants(name), row[0], row[1])

    def every(self) -> Sequence[User]:
        """Return all people by name."""
        with self._keep.reading() as connection:
            rows = connection.execute(
                "SELECT u.name, disabled, u.created, count(s.hash), COALESCE(max(s.seen), ''), f.name IS NOT NULL FROM users u"
                " LEFT JOIN federated f ON f.name = u.name"
                " LEFT JOIN sessions s ON s.name = u.name GROUP BY u.name ORDER BY u.name"
            ).fetchall()
            return [
                User(name, self._grants(name), bool(disabled), created, sessions, seen, bool(federated))
                for name, disabled, created, sessions, seen, federated in rows
            ]

    def _grants(self, name: str) -> tuple[Grant, ...]:
        with self._keep.reading() as connection:
            rows = connection.execute("SELECT role, systems FROM grants WHERE name = ? ORDER BY role", (name,)).fetchall()
        known: dict[str, Role] = {one: one for one in get_args(Role)}
        return tuple(Grant(known[role], tuple(systems.split())) for role, systems in rows if role in known)

    def _spare(self, name: str) -> None:
        """Refuse a change that leaves nobody who can manage people."""
        managing = [one.name for one in self.every() if not one.disabled and any(map(_administers, one.grants))]
        if managing == [name]:
            raise PolicyError("the last administrator", where=name, remedy="make another one first")

    def _present(self, name: str) -> None:
        with self._keep.reading() as connection:
            if connection.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is None:
                raise ConfigError("no such user", where=name, remedy="see xmsec user list")
