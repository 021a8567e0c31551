"""Identifiers of devices and subscribers: IMEI (3GPP TS 23.003), IMSI (ITU-T E.212), MAC (IEEE 802)."""

from __future__ import annotations

from xmsec.classify.validators.digits import bare, luhn, numeric

_CHINA = "460"
_NETWORKS = frozenset(("00", "01", "02", "03", "04", "05", "06", "07", "08", "09", "11", "12", "13", "15", "20"))


def imei(text: str) -> bool | None:
    """Refutes a wrong Luhn digit; a right one is had by one number in ten, so a context word must help.

    >>> imei("490154203237518"), imei("490154203237519")
    (None, False)
    """
    number = bare(text)
    return None if len(number) == 15 and numeric(number) and luhn(number) and len(set(number)) > 1 else False


def imsi(text: str) -> bool | None:
    """Refutes a number of another country than China, or of a network that was never assigned.

    >>> imsi("460001234567890"), imsi("460991234567890")
    (None, False)
    """
    known = len(text) == 15 and numeric(text) and text.startswith(_CHINA) and text[3:5] in _NETWORKS
    return None if known else False


def mac(text: str) -> bool | None:
    """True for six pairs with a letter among them; digits alone may be a date and a time, so those stay undecided.

    >>> mac("D0-50-99-84-A2-A0"), mac("20-26-11-24-08-30"), mac("00:00:00:00:00:00")
    (True, None, False)
    """
    pairs = text.replace("-", ":").upper().split(":")
    if (
        len(pairs) != 6
        or len(set(pairs)) == 1
        or not all(len(pair) == 2 and set(pair) <= set("0123456789ABCDEF") for pair in pairs)
    ):
        return False
    return None if numeric("".join(pairs)) else True
