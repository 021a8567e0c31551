"""Organisation codes (GB 11714-1997): eight characters and a check character."""

from __future__ import annotations

from operator import mul

from xmsec.classify.validators.digits import bare

_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_VALUES = {character: value for value, character in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")}


def org_code(text: str) -> bool | None:
    """Refutes a wrong check character (modulus 11); a right one proves little, since one in eleven has it.

    >>> org_code("D2143569-X"), org_code("60003734-2")
    (None, False)
    """
    code = bare(text)
    if len(code) != 9 or not set(code) <= _VALUES.keys():
        return False
    check = 11 - sum(map(mul, _WEIGHTS, map(_VALUES.__getitem__, code))) % 11
    return None if code[8] == {10: "X", 11: "0"}.get(check, str(check)) else False
