"""Sessions of people, one-time links, and tokens of machines: all by secrets of which only the hash is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from xmsec.console.access import Grant, Principal, granted
from xmsec.console.audit import Audit
from xmsec.console.keep import Keep
from xmsec.console.secret import hashed, made
from xmsec.console.users import Users, taken
from xmsec.model.clock import from_rfc3339, rfc3339
from xmsec.model.errors import ConfigError

IDLE = timedelta(minutes=30)  # without a request of a person; what a page asks by itself does not count
LONGEST = timedelta(hours=12)  # a shift; then the password again
SEEN = timedelta(seconds=30)  # how old `seen` may be, so that not every request writes
USED = timedelta(minutes=1)  # how old a token's `used` may be
_INVITED = "invited "


class Session(msgspec.Struct, frozen=True):
    """Somebody who is signed in; csrf: what each of their changing requests must carry."""

    who: Principal
    csrf: str
    hash: str


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, keep: Keep, users: Users, now: Callable[[], datetime]) -> None:
        self._keep, self._users, self._now = keep, users, now

    def open(self, name: str) -> str:
        """Open a session and return its secret, new at every login."""
        secret, now = made(), rfc3339(self._now())
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE created < ?", (rfc3339(self._now() - LONGEST),))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (hashed(secret), name, made(), now, now))
        return secret

    def find(self, secret: str, *, by_person: bool = True) -> Session | None:
        """Return the session of a secret, unless it is idle, old or its person is gone; by_person: keeps it alive."""
        now = self._now()
        with self._keep.reading() as connection:
            row = connection.execute(
                "SELECT hash, name, csrf, created, seen FROM sessions WHERE hash = ?", (hashed(secret),)
            ).fetchone()
        if row is None:
            return None
        key, name, csrf, created, seen = row
        if now - from_rfc3339(created) > LONGEST or now - from_rfc3339(seen) > IDLE:
            self.end(key)
            return None
        who = self._users.principal(name)
        if who is None:
            return None
        if by_person and now - from_rfc3339(seen) > SEEN:
            with self._keep.writing() as connection:
                connection.execute("UPDATE sessions SET seen = ? WHERE hash = ?", (rfc3339(now), key))
        return Session(who, csrf, key)

    def end(self, key: str) -> None:
        """End a session, by its hash."""
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE hash = ?", (key,))


class Links:
    """One-time links: printed on a terminal, or handed on by an administrator to the person whose name they hold."""

    def __init__(self, keep: Keep, now: Callable[[], datetime]) -> None:
        self._keep, self._now = keep, now

    def make(self, kind: str, lasts: timedelta) -> str:
        """Return the secret of a new link; earlier ones of its kind are void."""
        secret = made()
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM links WHERE kind = ?", (kind,))
            connection.execute("INSERT INTO links VALUES (?, ?, ?)", (hashed(secret), kind, rfc3339(self._now() + lasts)))
        return secret

    def invite(self, name: str, lasts: timedelta) -> str:
        """Return the secret of a link by which a person sets their password; earlier ones of theirs are void."""
        return self.make(f"{_INVITED}{name}", lasts)

    def invited(self, secret: str) -> str | None:
        """Return whose password a link sets, while it can be used."""
        with self._keep.reading() as connection:
            row = connection.execute("SELECT kind, expires FROM links WHERE hash = ?", (hashed(secret),)).fetchone()
        found = row is not None and row[0].startswith(_INVITED) and from_rfc3339(row[1]) > self._now()
        return row[0].removeprefix(_INVITED) if found else None

    def valid(self, secret: str, kind: str) -> bool:
        """Whether a link can still be used."""
        with self._keep.reading() as connection:
            row = connection.execute("SELECT expires FROM links WHERE hash = ? AND kind = ?", (hashed(secret), kind)).fetchone()
        return row is not None and from_rfc3339(row[0]) > self._now()

    def use(self, secret: str, kind: str | None) -> bool:
        """Use a link up: true once. kind: None for one that names a person."""
        with self._keep.writing() as connection:
            valid = self.invited(secret) is not None if kind is None else self.valid(secret, kind)
            connection.execute("DELETE FROM links WHERE hash = ?", (hashed(secret),))
        return valid


class Token(msgspec.Struct, frozen=True):
    """A machine's token as administration sees it. used: when it last was, by the minute."""

    name: str
    grant: Grant
    disabled: bool
    created: str
    used: str = ""


class Bearers:
    """Tokens of machines: one role each. What may send records is told apart, in XMSEC_INGEST_TOKENS."""

    def __init__(self, keep: Keep, audit: Audit, now: Callable[[], datetime]) -> None:
        self._keep, self._audit, self._now = keep, audit, now

    def add(self, name: str, grant: Grant, by: str) -> str:
        """Make a token and return it: it is shown this once. Raises ConfigError when the name is taken."""
        secret = made()
        with self._keep.writing() as connection:
            if taken(connection, name):
                raise ConfigError("the name is taken", where=name, remedy="choose another")
            row = (hashed(secret), name, grant.role, " ".join(grant.systems), rfc3339(self._now()))
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, 0, ?, '')", row)
            self._audit.note("token.added", by, name, {"role": grant.role, "systems": row[3]})
        return secret

    def disable(self, name: str, by: str) -> bool:
        """Let a token in no more; false when there is none of this name."""
        with self._keep.writing() as connection:
            found = connection.execute("UPDATE tokens SET disabled = 1 WHERE name = ?", (name,)).rowcount
            if found:
                self._audit.note("token.disabled", by, name)
        return bool(found)

    def find(self, authorization: str) -> Principal | None:
        """Return who a header `Authorization: Bearer …` speaks for."""
        scheme, _, secret = authorization.strip().partition(" ")
        if scheme.lower() != "bearer":
            return None
        with self._keep.reading() as connection:
            row = connection.execute(
                "SELECT name, role, systems, used FROM tokens WHERE hash = ? AND disabled = 0", (hashed(secret.strip()),)
            ).fetchone()
        if row is None:
            return None
        now = self._now()
        if not row[3] or now - from_rfc3339(row[3]) > USED:
            with self._keep.writing() as connection:
                connection.execute("UPDATE tokens SET used = ? WHERE name = ?", (rfc3339(now), row[0]))
        return Principal(row[0], (granted(row[1], row[2].split()),), machine=True)

    def every(self) -> Sequence[Token]:
        """Return all tokens by name."""
        with self._keep.reading() as connection:
            rows = connection.execute(
                "SELECT name, role, systems, disabled, created, used FROM tokens ORDER BY name"
            ).fetchall()
        return [Token(row[0], granted(row[1], row[2].split()), bool(row[3]), *row[4:]) for row in rows]
