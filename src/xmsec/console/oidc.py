"""Single sign-on as a deployment declares it: the issuer, and which groups have which role for which systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from xmsec.console.access import EVERY, Grant, Role, granted
from xmsec.model.errors import ConfigError

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
Text = Annotated[str, Meta(min_length=1)]


class Granting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the members of a group may: a role, and the systems for which it holds (`*`: all)."""

    group: Text
    role: str
    systems: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An issuer (OpenID Connect Core 1.0), and what its claims mean here.

    client_secret_file: holds the secret alone, none: a public client, by PKCE; ca: PEM file of who signed the issuer's
    certificate; name, groups: claims of the ID token; grants: who is of none of these groups is not let in.
    """

    issuer: Text
    client_id: Text
    client_secret_file: str = ""
    ca: str = ""
    name: Text = "preferred_username"
    groups: Text = "groups"
    scopes: tuple[Text, ...] = ("openid", "profile")
    grants: tuple[Granting, ...] = ()

    def grants_of(self, claims: Mapping[str, Any]) -> tuple[Grant, ...]:
        """Return what somebody may, by their groups: one grant a role, for the systems of all of these groups."""
        told = claims.get(self.groups)
        listed = told if isinstance(told, list) else [told]  # an object is no list: its names may be of what is `false`
        groups = {one for one in listed if isinstance(one, str)}
        systems: dict[Role, set[str]] = {}
        for one in self.grants:
            if one.group in groups:
                grant = granted(one.role, one.systems)
                systems.setdefault(grant.role, set()).update(grant.systems)
        return tuple(Grant(role, (EVERY,) if EVERY in held else tuple(sorted(held))) for role, held in sorted(systems.items()))


def declared(body: Mapping[str, Any], where: str) -> Declared:
    """Read a declaration. Raises ConfigError."""
    remedy = "see docs/sso.md"
    try:
        found = msgspec.convert(body, Declared)
        parts = urlsplit(found.issuer)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"no declaration of an issuer: {error}", where=where, remedy=remedy) from None
    plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or (parts.scheme != "https" and not plain) or parts.query or parts.fragment:
        raise ConfigError("issuer is no https address", where=where, remedy=remedy)
    if "openid" not in found.scopes:
        raise ConfigError("scopes lack openid", where=where, remedy=remedy)
    for one in found.grants:
        granted(one.role, one.systems)
    return found
