"""Who came by single sign-on: sign-ins under way, each answered once, and the people that the issuer vouches for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from xmsec.console.issuer import Issuer, Sought
from xmsec.console.keep import Keep
from xmsec.console.secret import hashed, made
from xmsec.console.users import Users
from xmsec.model.clock import from_rfc3339, rfc3339
from xmsec.model.errors import ConfigError, PolicyError

LASTS = timedelta(minutes=10)  # from the login page to the answer of the issuer
BY = "single sign-on"  # who gives roles, in the audit trail: nobody can bear a name with a space


class TurnedAwayError(PolicyError):
    """The issuer vouches for somebody who is not let in here; `what` is the name of a text."""


class Federation:
    """Begins and ends sign-ins by an issuer, and keeps its people beside the local ones.

    What an answer must bear is made of the browser's own secret, which is kept by the browser alone.
    """

    def __init__(self, keep: Keep, users: Users, issuer: Issuer, now: Callable[[], datetime]) -> None:
        self.issuer = issuer
        self._keep, self._users, self._now = keep, users, now

    def begin(self, browser: str, callback: str, following: str) -> Sought:
        """Begin a sign-in of a browser; following: the page that is wanted."""
        state, now = made(), self._now()
        with self._keep.writing() as connection:
            connection.execute("DELETE FROM departures WHERE expires <= ?", (rfc3339(now),))
            row = (hashed(state), hashed(browser), callback, following, rfc3339(now + LASTS))
            connection.execute("INSERT INTO departures VALUES (?, ?, ?, ?, ?)", row)
        return _sought(state, browser, callback)

    def finish(self, state: str, browser: str) -> tuple[Sought, str] | None:
        """Return the sign-in that an answer belongs to, and the page that was wanted: once, and to its own browser alone."""
        with self._keep.writing() as connection:
            row = connection.execute(
                "DELETE FROM departures WHERE state = ? AND browser = ? RETURNING callback, following, expires",
                (hashed(state), hashed(browser)),
            ).fetchone()
        if row is None or from_rfc3339(row[2]) <= self._now():
            return None
        return _sought(state, browser, row[0]), str(row[1])

    def admit(self, claims: Mapping[str, Any]) -> str:
        """Return the name of whom claims tell of, with the roles that their groups have now. Raises TurnedAwayError."""
        grants, known = self.issuer.declared.grants_of(claims), self._known(claims["sub"])
        if known is None and grants:
            return self._join(claims)
        if known is None:
            raise TurnedAwayError("sso.no-role")
        who = self._users.principal(known)
        if who is None:
            raise TurnedAwayError("sso.disabled")
        if {*who.grants} != {*grants}:
            try:
                self._users.grant(known, grants, BY)
            except PolicyError as error:  # the last administrator: they stay one, and are not let in
                self._users.leave(known, BY)
                raise TurnedAwayError("sso.no-role") from error
        if not grants:
            raise TurnedAwayError("sso.no-role")
        return known

    def _known(self, subject: str) -> str | None:
        with self._keep.reading() as connection:
            row = connection.execute(
                "SELECT name FROM federated WHERE issuer = ? AND subject = ?", (self.issuer.declared.issuer, subject)
            ).fetchone()
        return None if row is None else str(row[0])

    def _join(self, claims: Mapping[str, Any]) -> str:
        """Add a person under the name that the issuer says, if nobody here bears it: a name is no proof of who one is."""
        name = claims.get(self.issuer.declared.name)
        if not isinstance(name, str):
            raise TurnedAwayError("sso.no-name")
        try:
            with self._keep.writing() as connection:
                if (known := self._known(claims["sub"])) is not None:  # they came twice at once
                    return known
                self._users.add(name, made(), self.issuer.declared.grants_of(claims), BY)
                row = (self.issuer.declared.issuer, claims["sub"], name)
                connection.execute("INSERT INTO federated VALUES (?, ?, ?)", row)
        except ConfigError as error:
            raise TurnedAwayError("sso.no-name") from error
        return name


def _sought(state: str, browser: str, callback: str) -> Sought:
    return Sought(state, hashed(f"nonce {browser} {state}"), hashed(f"verifier {browser} {state}"), callback)
