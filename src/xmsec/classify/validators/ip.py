"""Internet addresses (RFC 791, RFC 4291) that name a machine; loopback and unspecified ones name none."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address


@lru_cache(1 << 12)
def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a text is, or None."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def ip(text: str) -> bool | None:
    """Refutes what is no address of a machine; four numbers in a row prove nothing, so the rest stays undecided.

    >>> ip("10.1.2.3"), ip("300.1.1.1"), ip("127.0.0.1"), ip("2001:db8::1"), ip("dead::beef")
    (None, False, False, None, False)
    """
    address = parsed(text)
    if address is None or address.is_loopback or address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, IPv4Address):
        return None if 0 < address.packed[0] < 240 else False
    first = text.partition(":")[0].lower()  # `a::b` is also how programs write names, so the first group has to be assigned
    return None if len(first) == 4 and (first[0] in "23" or first[:2] in ("fc", "fd", "fe")) else False
