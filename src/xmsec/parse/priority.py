"""The priority that every syslog message begins with (RFC 5424, 6.2.1): facility and severity in one number."""

from __future__ import annotations

import re

from xmsec.model.errors import InputError
from xmsec.model.types import Fields

FACILITIES = [
    "kernel",
    "user-level",
    "mail",
    "system",
    "security/authorization",
    "syslogd",
    "printer",
    "network-news",
    "uucp",
    "clock",
    "security/authorization4",
    "ftp",
    "ntp",
    "log-audit",
    "log-alert",
    "clock15",
    "local0",
    "local1",
    "local2",
    "local3",
    "local4",
    "local5",
    "local6",
    "local7",
]
SEVERITIES = ["emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug"]

_PRIORITY = re.compile(r"<(\d{1,3})>", re.ASCII)


def put_priority(fields: Fields, text: str) -> int:
    """Set facility and severity; return where the rest begins."""
    match = _PRIORITY.match(text)
    if match is None:
        return 0
    priority = int(match[1])
    if priority >= 8 * len(FACILITIES):
        raise InputError("bad-priority")
    facility, severity = divmod(priority, 8)
    fields["log.syslog.priority"] = priority
    fields["log.syslog.facility.code"] = facility
    fields["log.syslog.facility.name"] = FACILITIES[facility]
    fields["log.syslog.severity.code"] = severity
    fields["log.syslog.severity.name"] = fields["log.level"] = SEVERITIES[severity]
    return match.end()
