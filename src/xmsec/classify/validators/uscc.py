"""Unified social credit codes of organisations (GB 32100-2015)."""

from __future__ import annotations

from operator import mul

from xmsec.classify.validators.digits import bare, numeric
from xmsec.classify.validators.org_code import org_code
from xmsec.classify.validators.resident_id import PROVINCES

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I, O, S, V, Z
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_AUTHORITIES = frozenset("123456789ANY")
_NATIONAL = 10  # 100000: registered with the central authority


def check_character(body: str) -> str:
    """Check character over the first 17 (GB 32100-2015 5.5, modulus 31; a sum that is divisible gives 0).

    >>> check_character("91350100M000100Y4"), check_character("91350200MA0000031")
    ('3', '0')
    """
    return ALPHABET[-sum(map(mul, _WEIGHTS, map(_VALUES.__getitem__, body))) % 31]


def uscc(text: str) -> bool | None:
    """True when both checks hold: modulus 31 over all, and that of the organisation code inside (characters 9 to 17).

    Undecided when only the first does: one in 31 random strings has it, so a context word must help.

    >>> uscc("91350100M000100Y43"), uscc("91350100M000100Y4A"), uscc("N2350211MF0000013U")
    (True, False, True)
    """
    code = bare(text)
    if len(code) != 18 or code[0] not in _AUTHORITIES or not _VALUES.keys() >= set(code) or not numeric(code[2:8]):
        return False
    if int(code[2:4]) not in PROVINCES and int(code[2:4]) != _NATIONAL:
        return False
    if check_character(code[:17]) != code[17]:
        return False
    return True if org_code(code[8:17]) is not False else None
