"""Vehicle number plates (GA 36-2018)."""

from __future__ import annotations

import re

PROVINCE_BY_LETTER: dict[str, str] = dict(
    zip(
        "京津冀晋蒙辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新",
        (
            *("11", "12", "13", "14", "15", "21", "22", "23", "31", "32", "33", "34", "35", "36", "37", "41"),
            *("42", "43", "44", "45", "46", "50", "51", "52", "53", "54", "61", "62", "63", "64", "65"),
        ),
        strict=True,
    )
)
_SEPARATORS = str.maketrans("", "", " ·•・.-")
_LETTERS = re.compile(r"[A-Z]")


def plate_characters(text: str) -> str:
    """Return a plate in upper case without its dot or space.

    >>> plate_characters("闽d·12345")
    '闽D12345'
    """
    return text.translate(_SEPARATORS).upper()


def plate(text: str) -> bool | None:
    """Refutes a serial with more than two letters (GA 36-2018 annex: three digits at least); there is no check digit.

    >>> plate("川A123AB"), plate("新APPLES"), plate("闽DD12345")
    (None, False, None)
    """
    characters = plate_characters(text)
    if characters[:1] not in PROVINCE_BY_LETTER:
        return None
    return None if len(_LETTERS.findall(characters[2:])) <= 2 else False
