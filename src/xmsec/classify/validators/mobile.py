"""Mobile telephone numbers of the mainland (MIIT numbering plan): eleven digits, 1[3-9]."""

from __future__ import annotations

from xmsec.classify.validators.digits import bare, numeric

COUNTRY_CODES = ("+86", "0086", "86")


def national(text: str) -> str:
    """Return the number without country code and separators.

    >>> national("+86 138-0013-8000"), national("0086 13800138000")
    ('13800138000', '13800138000')
    """
    if len(text) == 11:
        return text
    number = bare(text).replace("(", "").replace(")", "")
    for code in COUNTRY_CODES:
        if number.startswith(code) and len(number) == len(code) + 11:
            return number[len(code) :]
    return number


def mobile(text: str) -> bool | None:
    """Refutes what is not eleven digits from 13 on; which segments are assigned is the patterns' score, since such lists age.

    >>> mobile("+8619201234567"), mobile("12345678901")
    (None, False)
    """
    number = national(text)
    return None if len(number) == 11 and numeric(number) and number[0] == "1" and number[1] in "3456789" else False
