"""Addresses and secrets of destinations: one section each of a file that content never holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from xmsec.content.notify import Channel
from xmsec.model.errors import ConfigError, ServiceError

SCHEMES: Mapping[Channel, tuple[str, ...]] = {
    "mail": ("smtp", "smtps"),
    "dingtalk": ("https", "http"),
    "wecom": ("https", "http"),
    "feishu": ("https", "http"),
    "webhook": ("https", "http"),
    "syslog": ("udp", "tcp", "tls"),
}


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a destination is, and what it wants to know of us.

    url: its address; secret: what signs (webhook, dingtalk, feishu); token: a bearer token (webhook); user, password: of the
    mail server; sender, recipients: of mails; ca: PEM file of who signed the receiver's certificate; cert, key: of ours.
    """

    url: str
    secret: str = ""
    token: str = ""
    user: str = ""
    password: str = ""
    sender: str = ""
    recipients: tuple[str, ...] = ()
    ca: str = ""
    cert: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return f"Target({self.shown})"

    @property
    def shown(self) -> str:
        """The address without what is secret in it: robots' addresses hold their tokens."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")


class UndeliveredError(ServiceError):
    """A receiver that did not take a message; after_s: how long it asks us to wait. retry: false when it never will take it."""

    def __init__(self, what: str, *, where: str, remedy: str = "", retry: bool = True, after_s: float = 0.0) -> None:
        super().__init__(what, where=where, remedy=remedy, retry=retry)
        self.after_s = after_s


def targets_of(body: Mapping[str, Any], where: str) -> dict[str, Target]:
    """Read the sections of a targets' file. Raises ConfigError, which quotes no secret."""
    found: dict[str, Target] = {}
    for name, section in body.items():
        try:
            found[name] = msgspec.convert(section, Target)
            _ = urlsplit(found[name].url).port  # raises for a port that is none
        except (msgspec.ValidationError, ValueError) as error:
            what = str(error) if isinstance(error, msgspec.ValidationError) else "url is no address"
            raise ConfigError(f"section {name}: {what}", where=where, remedy="see docs/notify.md") from None
    return found


def fit(channel: Channel, target: Target, name: str) -> None:
    """Refuse an address that does not belong to a channel, or lacks what it needs. Raises ConfigError."""
    parts = urlsplit(target.url)
    if parts.scheme not in SCHEMES[channel] or not parts.hostname:
        remedy = f"write one that begins with {' or '.join(f'{one}://' for one in SCHEMES[channel])}"
        raise ConfigError(f"{channel} has another kind of address", where=f"section {name}, url", remedy=remedy)
    if channel == "mail" and not (target.sender and target.recipients):
        raise ConfigError("a mail needs sender and recipients", where=f"section {name}", remedy="write both")
    if channel == "syslog" and not parts.port:
        raise ConfigError("syslog needs a port", where=f"section {name}, url", remedy="udp://HOST:514, tls://HOST:6514")
    if channel == "webhook" and not (target.secret or target.token):
        raise ConfigError("a webhook is neither signed nor has a token", where=f"section {name}", remedy="write secret")
