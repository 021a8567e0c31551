"""What carries a message or a finding to one destination."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from xmsec.content.notify import Destination
from xmsec.model.types import Finding
from xmsec.notify.formats import cef, ecs, ocsf
from xmsec.notify.http import post
from xmsec.notify.mail import to_mail
from xmsec.notify.notice import Message
from xmsec.notify.robots import ROBOTS, fitting
from xmsec.notify.sign import standard
from xmsec.notify.syslog import Wire, line
from xmsec.notify.target import Target, fit
from xmsec.notify.words import lines, subject


class Letter(msgspec.Struct, frozen=True):
    """One finding for a machine. id: the same however often it is sent; again: the receiver was told of the finding before."""

    id: str
    finding: Finding
    again: bool = False


class Us(msgspec.Struct, frozen=True):
    """Who sends: our version, the host's name, and the zone of times that people read."""

    version: str
    host: str
    zone: tzinfo


Carry = Callable[[Any, datetime], None]  # a Message or a Letter, and now; raises UndeliveredError


class Carrier(msgspec.Struct, frozen=True):
    """What carries, and what gives its connection back."""

    carry: Carry
    close: Callable[[], None] = lambda: None


def carrier(destination: Destination, target: Target, us: Us) -> Carrier:
    """Return what carries to a destination: `Message`s to people, `Letter`s to machines. Raises ConfigError."""
    fit(destination.channel, target, destination.target)
    if destination.channel == "webhook":
        return _webhook(destination, target, us)
    if destination.channel == "syslog":
        return _syslog(target, us)
    robot = ROBOTS.get(destination.channel)

    def carry(message: Message, now: datetime) -> None:
        head = subject(message, destination.language)
        text = "\n".join(lines(message, destination.language, us.zone))
        if robot is None:
            to_mail(target, head, text, message.id, now)
        else:
            robot(target, fitting(f"{head}\n{text}"), now.timestamp())

    return Carrier(carry)


def _webhook(destination: Destination, target: Target, us: Us) -> Carrier:
    if target.secret:
        standard(target.secret, "", 0, b"")  # a secret that is none is said now
    bearer = {"Authorization": f"Bearer {target.token}"} if target.token else {}

    def carry(letter: Letter, now: datetime) -> None:
        is_ocsf = destination.format == "ocsf"
        document = ocsf(letter.finding, us.version, again=letter.again) if is_ocsf else ecs(letter.finding, us.version)
        body = msgspec.json.encode(document)
        at = int(now.timestamp())
        signed = standard(target.secret, letter.id, at, body) if target.secret else {"webhook-id": letter.id}
        post(target, "", body, {**bearer, **signed}, now.timestamp())

    return Carrier(carry)


def _syslog(target: Target, us: Us) -> Carrier:
    wire = Wire(target)

    def carry(letter: Letter, now: datetime) -> None:
        finding = letter.finding
        wire.send(line(cef(finding, us.version), finding.severity, finding.kind, us.host, now))

    return Carrier(carry, wire.close)
