"""Vehicle identification numbers (GB 16735-2019; ISO 3779)."""

from __future__ import annotations

_VALUES = dict(
    zip("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", (*range(10), *range(1, 9), *range(1, 6), 7, 9, *range(2, 10)), strict=True)
)
_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)


def vin(text: str) -> bool | None:
    """True when the check at place nine holds, the last four are digits (GB 16735-2019 4.3) and letters stand among them.

    Refuted when a number that begins with L (China, where the check is mandatory) has the wrong one; undecided otherwise.

    >>> vin("1M8GDM9AXKP042788"), vin("LSVAU033X12345678"), vin("11111111111111111")
    (True, False, None)
    """
    number = text.upper()
    if len(number) != 17 or not set(number) <= _VALUES.keys():
        return False
    remainder = sum(weight * _VALUES[character] for weight, character in zip(_WEIGHTS, number, strict=True)) % 11
    if number[8] != "0123456789X"[remainder]:
        return False if number[0] == "L" else None
    letters = sum(character > "9" for character in number)
    return True if letters >= 3 and number[13:].isdigit() else None
