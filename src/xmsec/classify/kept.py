"""The few attributes of a value that may survive it, each a small function of its canonical form and the event's time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from xmsec.classify.validators.bank_card import issuer
from xmsec.classify.validators.digits import calendar_date
from xmsec.classify.validators.ip import parsed
from xmsec.classify.validators.plate import PROVINCE_BY_LETTER

_CHINA = timezone(timedelta(hours=8))  # a birthday begins at midnight there, whatever zone a log is written in


def domain(value: str, _time: datetime) -> str:
    """Return the domain of an e-mail address.

    >>> domain("zhang@xm.gov.cn", datetime(2026, 1, 1, tzinfo=_CHINA))
    'xm.gov.cn'
    """
    return value.rpartition("@")[2]


def province(value: str, _time: datetime) -> str:
    """Return the province (GB/T 2260, two digits) of a number that begins with a region.

    >>> province("350203199003071236", datetime(2026, 1, 1, tzinfo=_CHINA))
    '35'
    """
    return value[:2]


def uscc_province(value: str, _time: datetime) -> str:
    """Return the province where an organisation is registered (GB 32100, places 3 and 4).

    >>> uscc_province("91350200MA00000310", datetime(2026, 1, 1, tzinfo=_CHINA))
    '35'
    """
    return value[2:4]


def plate_province(value: str, _time: datetime) -> str | None:
    """Return the province of a number plate.

    >>> plate_province("闽D12345", datetime(2026, 1, 1, tzinfo=_CHINA))
    '35'
    """
    return PROVINCE_BY_LETTER.get(value[:1])


def minor(value: str, time: datetime) -> str | None:
    """Say whether the person was under 14 (PIPL article 28), under 18, or of age when the event happened.

    >>> minor("350203201303071230", datetime(2026, 11, 24, tzinfo=_CHINA))
    'under-14'
    """
    born = calendar_date(value[6:14]) if value[6:14].isdigit() else None
    if born is None:
        return None
    day = time.astimezone(_CHINA).date()
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    return "under-14" if age < 14 else "under-18" if age < 18 else "no"


def card_issuer(value: str, _time: datetime) -> str:
    """Return the issuer of a bank card, as far as a short table of prefixes knows.

    >>> card_issuer("6228480402564890018", datetime(2026, 1, 1, tzinfo=_CHINA))
    'ABC'
    """
    return issuer(value)


def scope(value: str, _time: datetime) -> str | None:
    """Say whether an Internet address is private or public.

    >>> scope("10.1.2.3", datetime(2026, 1, 1, tzinfo=_CHINA))
    'private'
    """
    return _scope(value)


@lru_cache(1 << 12)  # the standard library compares with some twenty networks
def _scope(value: str) -> str | None:
    found = parsed(value)
    return None if found is None else "private" if found.is_private else "public"


KEPT: dict[str, Callable[[str, datetime], str | None]] = {
    "card_issuer": card_issuer,
    "domain": domain,
    "minor": minor,
    "plate_province": plate_province,
    "province": province,
    "scope": scope,
    "uscc_province": uscc_province,
}
