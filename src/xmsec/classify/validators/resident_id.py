"""Resident identity numbers and the permits that are numbered the same way (GB 11643-1999)."""

from __future__ import annotations

from xmsec.classify.validators.digits import bare, calendar_date, mod_11_2, numeric

# GB/T 2260, first two digits; a code is of the time of issue, so the four digits after it are never checked
PROVINCES = frozenset(
    (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82)
)
_PERMITS = ("810000", "820000", "830000")  # Hong Kong, Macao, Taiwan residents living on the mainland
_FIRST_YEAR, _LAST_YEAR = 1880, 2059  # the core has no clock: what is "in the future" ends with the format's useful life


def check_digit(body: str) -> str:
    """Check character of a resident identity number (GB 11643-1999; ISO 7064 MOD 11-2).

    body: the first 17 digits. Raises ValueError when it is anything else.

    >>> check_digit("11010519491231002")
    'X'
    """
    if len(body) != 17 or not numeric(body):
        raise ValueError("not 17 digits")
    return mod_11_2(body)


def resident_id(text: str) -> bool | None:
    """Whether province, birth date and check character hold; the old form of 15 digits has no check, so it stays undecided.

    >>> resident_id("440524188001010014"), resident_id("440524 18800101 001 5"), resident_id("610104620927690")
    (True, False, None)
    """
    number = bare(text)
    if len(number) == 15 and numeric(number):
        dated = calendar_date(f"19{number[6:12]}") is not None
        return None if dated and int(number[:2]) in PROVINCES else False
    return _sound(number) and int(number[:2]) in PROVINCES and number[:6] not in _PERMITS


def residence_permit(text: str) -> bool:
    """Whether it is a residence permit of Hong Kong, Macao or Taiwan residents (GB 11643 numbering, 81/82/83 0000).

    >>> residence_permit("810000199408230021"), residence_permit("830000199201300023")
    (True, False)
    """
    number = bare(text)
    return number.startswith(_PERMITS) and _sound(number)


def foreign_permit(text: str) -> bool:
    """Whether it is a foreigner's permanent residence card of 2023: 9, province, nationality (ISO 3166-1 numeric), date, check.

    >>> foreign_permit("911124198108030024"), foreign_permit("911124198108030025")
    (True, False)
    """
    number = bare(text)
    return number.startswith("9") and _sound(number) and int(number[1:3]) in PROVINCES


def upgraded(text: str) -> str:
    """Return the number in its form of 18 characters, so that a person's old and new number are one.

    >>> upgraded("610104620927690")
    '610104196209276908'
    """
    number = bare(text)
    if len(number) != 15 or not numeric(number):
        return number
    body = f"{number[:6]}19{number[6:]}"
    return body + mod_11_2(body)


def _sound(number: str) -> bool:
    """Whether a number of 18 has a date in the years of living people and the right check character."""
    if len(number) != 18 or not numeric(number[:17]):
        return False
    born = calendar_date(number[6:14])
    return born is not None and _FIRST_YEAR <= born.year <= _LAST_YEAR and mod_11_2(number[:17]) == number[17]
