"""Who may do what: the permissions, the roles that hold them, and the systems that a role reaches. Nothing else decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import msgspec

from xmsec.model.errors import ConfigError

Permission = Literal[
    "anyone",  # no login: the login itself, the stylesheet
    "signed-in",  # one's own account
    "situation.read",
    "findings.read",
    "findings.triage",
    "findings.except",
    "incidents.read",
    "incidents.act",
    "runs.read",
    "runs.approve",
    "trail.ask",
    "ledger.read",
    "ledger.review",
    "assess.read",
    "assess.edit",
    "sources.read",
    "users.manage",
    "audit.read",
]
Role = Literal["viewer", "operator", "responder", "assessor", "data-officer", "admin"]
PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
ROLES: tuple[Role, ...] = get_args(Role)
EVERY = "*"  # all systems, also those to come

_READS: frozenset[Permission] = frozenset(
    ("signed-in", "situation.read", "findings.read", "incidents.read", "runs.read", "ledger.read", "sources.read")
)
HOLDS: Mapping[Role, frozenset[Permission]] = {
    "viewer": _READS,
    "operator": _READS | {"findings.triage", "findings.except", "incidents.act"},
    "responder": _READS | {"findings.triage", "findings.except", "incidents.act", "runs.approve", "trail.ask"},
    "assessor": _READS | {"assess.read", "assess.edit", "audit.read"},
    "data-officer": _READS | {"ledger.review", "findings.except", "trail.ask", "assess.read"},
    "admin": frozenset(PERMISSIONS),
}


class Grant(msgspec.Struct, frozen=True, order=True):
    """A role, and the systems for which it holds; `*` are all."""

    role: Role
    systems: tuple[str, ...] = (EVERY,)


class Principal(msgspec.Struct, frozen=True):
    """Who asks: a person by a session, or a machine by a token. language, theme: how a person wants pages."""

    name: str
    grants: tuple[Grant, ...] = ()
    language: str = "zh"
    theme: str = "auto"
    machine: bool = False

    def reaches(self, permission: Permission) -> frozenset[str]:
        """Return the systems for which a permission is held: none, some, or `*`."""
        return frozenset(system for grant in self.grants if permission in HOLDS[grant.role] for system in grant.systems)

    def may(self, permission: Permission, system: str | None = None) -> bool:
        """Whether a permission is held for a system; None: for any."""
        if permission == "anyone":
            return True
        reached = self.reaches(permission)
        return bool(reached) if system is None else EVERY in reached or system in reached

    def acts_as(self, role: str, system: str) -> bool:
        """Whether somebody has a role for a system; an administrator stands in for every role."""
        held = [grant for grant in self.grants if grant.role in (role, "admin")]
        return any(EVERY in grant.systems or system in grant.systems for grant in held)


NOBODY = Principal("")


def granted(role: str, systems: Iterable[str] = ()) -> Grant:
    """Make a grant of what was typed. Raises ConfigError."""
    found: Role | None = next((one for one in ROLES if one == role), None)
    if found is None:
        raise ConfigError(f'no role "{role}"', where="--role", remedy=f"one of {', '.join(ROLES)}")
    return Grant(found, tuple(sorted({*systems})) or (EVERY,))
