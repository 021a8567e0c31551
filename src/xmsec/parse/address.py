"""Who asked: an address is `source.ip` only when it is one."""

from __future__ import annotations

import re
from ipaddress import ip_address

from xmsec.model.types import Fields

HOSTS = 4_096  # cached addresses, about 500 KiB; a log has far fewer clients at a time
_PORTED = re.compile(r"\[?([0-9a-fA-F.:]+?)\]?:(\d{1,5})", re.ASCII)

_by_host: dict[str, tuple[str, str, int | None]] = {}


def put_client(fields: Fields, host: str) -> None:
    """Set `source.ip` (and `source.port`) when the host is an address, else `source.address`."""
    known = _by_host.get(host)
    if known is None:
        known = _client(host)
        if known[0] == "source.ip":
            if len(_by_host) >= HOSTS:
                _by_host.clear()
            _by_host[host] = known
    name, value, port = known
    fields[name] = value
    if port is not None:
        fields["source.port"] = port


def _client(host: str) -> tuple[str, str, int | None]:
    first, comma, _ = host.partition(",")
    if comma and _is_ip(first):  # X-Forwarded-For: the client, then the proxies
        return "source.ip", first, None
    if _is_ip(host.strip("[]")):
        return "source.ip", host.strip("[]"), None
    match = _PORTED.fullmatch(host)
    if match is not None and _is_ip(match[1]):
        return "source.ip", match[1], int(match[2])
    return "source.address", host, None


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
