"""Identifiers of people, firms, certificates and cases, made from a number: valid by their standards' checks, and nobody's.

A maker turns 64 mixed bits into one text, so that a population needs no table: the same person has the same values in every
line and on every day. What judges these values is written elsewhere and shares no code with this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from operator import mul
from urllib.parse import quote

MASK = (1 << 64) - 1
DISTRICTS = ("350203", "350205", "350206", "350211", "350212", "350213")  # of Xiamen, GB/T 2260
ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID_CHECK = "10X98765432"
FIRST_BIRTH, BIRTHS = date(1940, 1, 1).toordinal(), 28_000  # up to August 2016: some are minors
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = tuple(pow(3, index, 31) for index in range(17))
ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
MIXED = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
VALUES = {character: value for value, character in enumerate(MIXED)}
SERIALS = 10_000_000  # serial numbers of one type of certificate
MOBILES = ("134", "135", "136", "138", "139", "150", "158", "159", "178", "186", "187", "188", "189", "191", "199")
BINS = ("622202", "621700", "622848", "621661", "622188")
SURNAMES = "陈林黄张李王吴刘蔡杨许郑谢郭洪邱曾廖赖徐周叶苏庄吕江何罗高萧潘简朱钟彭游詹胡施沈"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红梅建文志海燕晓东婷雪慧宇欣怡佳子轩雨晨思涵"
SYLLABLES = (
    "chen",
    "lin",
    "huang",
    "zhang",
    "li",
    "wang",
    "wu",
    "cai",
    "hong",
    "min",
    "jie",
    "yan",
    "xue",
    "hai",
    "wei",
    "ting",
)
MAIL_DOMAINS = ("example.com", "example.net", "example.org")  # reserved: no mailbox of anybody
PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


def mix(base: int, index: int) -> int:
    """Mix two numbers into 64 bits (the finaliser of SplitMix64, Steele and others, OOPSLA 2014).

    >>> mix(1, 2) == mix(1, 2) != mix(2, 1)
    True
    """
    z = (base + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def resident_id(bits: int) -> str:
    """Resident identity number of Xiamen (GB 11643-1999)."""
    bits, district = divmod(bits, 6)
    bits, born = divmod(bits, BIRTHS)
    body = f"{DISTRICTS[district]}{_births()[born]}{bits % 999 + 1:03d}"
    return body + ID_CHECK[sum(map(mul, map(int, body), ID_WEIGHTS)) % 11]


@cache
def _births() -> tuple[str, ...]:
    """Every birthday in writing: strftime for each person would cost more than all the rest of a line."""
    days = (date.fromordinal(FIRST_BIRTH + born) for born in range(BIRTHS))
    return tuple(f"{day.year:04d}{day.month:02d}{day.day:02d}" for day in days)


def name(bits: int) -> str:
    """Name of two or three characters."""
    bits, surname = divmod(bits >> 8, len(SURNAMES))
    bits, first = divmod(bits, len(GIVEN))
    bits, second = divmod(bits, len(GIVEN))
    return SURNAMES[surname] + GIVEN[first] + (GIVEN[second] if bits & 3 else "")


def mobile(bits: int) -> str:
    """Mobile number in an allocated segment."""
    bits, segment = divmod(bits >> 4, len(MOBILES))
    return f"{MOBILES[segment]}{bits % 100_000_000:08d}"


def email(bits: int) -> str:
    """E-mail address under a reserved domain."""
    bits, first = divmod(bits >> 12, 16)
    bits, second = divmod(bits, 16)
    bits, domain = divmod(bits, 3)
    return f"{SYLLABLES[first]}{SYLLABLES[second]}{bits % 10_000:04d}@{MAIL_DOMAINS[domain]}"


def plate(bits: int) -> str:
    """Number plate of Xiamen (GA 36-2018), every fourth one of a new-energy car."""
    bits, energy = divmod(bits >> 16, 4)
    if energy == 0:
        return f"闽DD{bits % 100_000:05d}"
    bits, letter = divmod(bits, len(PLATE_LETTERS))
    return f"闽D{PLATE_LETTERS[letter]}{bits % 10_000:04d}"


def bank_card(bits: int) -> str:
    """Debit card of 19 digits with its Luhn digit."""
    bits, bank = divmod(bits >> 20, len(BINS))
    body = f"{BINS[bank]}{bits % 10**12:012d}"
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in body[::-2])
    return body + str(-(doubled + sum(map(int, body[-2::-2]))) % 10)


def _uscc(head: str, bits: int, start: str) -> str:
    body = start
    while len(body) < 8:
        bits, place = divmod(bits, 31)
        body += USCC_ALPHABET[place]
    check = 11 - sum(map(mul, map(VALUES.__getitem__, body), ORG_WEIGHTS)) % 11
    whole = f"{head}{body}{'X' if check == 10 else check % 11}"
    return whole + USCC_ALPHABET[-sum(map(mul, map(USCC_ALPHABET.index, whole), USCC_WEIGHTS)) % 31]


def uscc(bits: int) -> str:
    """Unified social credit code of a firm in Xiamen (GB 32100-2015), its organisation code valid too."""
    bits, district = divmod(bits, 6)
    return _uscc("91" + DISTRICTS[district], bits, "MA")


def firm(bits: int) -> str:
    """Name of a firm."""
    bits, first = divmod(bits >> 8, len(GIVEN))
    bits, second = divmod(bits, len(GIVEN))
    return f"厦门{GIVEN[first]}{GIVEN[second]}{('贸易', '科技', '物流', '餐饮')[bits & 3]}有限公司"


ISSUERS = tuple(_uscc("11350200", mix(0, index), "00") for index in range(4))
TYPES = tuple(f"{ISSUERS[index % 4]}{index + 1:03d}" for index in range(12))


def certificate_id(serial: int) -> str:
    """Identifier of an electronic certificate (GB/T 36904-2018) from its serial number; neighbours differ in the serial only.

    Root 1.2.156.3005.2, type, issuer, serial, version, and a check character by ISO 7064 MOD 37,36 over what follows the root.
    """
    kind = serial // SERIALS % len(TYPES)
    start, left = _series(kind)
    body = f"{serial % SERIALS:010d}"
    return f"{start}{body}.001.{MIXED[(37 - _mod_37_36(body + '001', left)) % 36]}"


@cache
def _series(kind: int) -> tuple[str, int]:
    """Return how the identifiers of one type and issuer begin, and what their beginning leaves of the check."""
    head, issuer = TYPES[kind], ISSUERS[kind % len(ISSUERS)]
    return f"1.2.156.3005.2.{head}.{issuer}.", _mod_37_36(head + issuer, 36)


def _mod_37_36(text: str, left: int) -> int:
    for character in text:
        left = ((left + VALUES[character]) % 36 or 36) * 2 % 37
    return left


def _serial(bits: int) -> str:
    return certificate_id(bits % (SERIALS * len(TYPES)))


def number(bits: int) -> str:
    """Plain number of nine digits: of a case, a ticket, a transaction."""
    return f"{bits % 10**9:09d}"


def trace(bits: int) -> str:
    """Trace id of sixteen hexadecimal digits."""
    return f"{bits:016x}"


# what a draw can be, and which attributes it has; "case.number" in a template asks for MAKERS["case"]["number"]
MAKERS: Mapping[str, Mapping[str, Callable[[int], str]]] = {
    "person": {
        "id": resident_id,
        "name": name,
        "mobile": mobile,
        "email": email,
        "plate": plate,
        "plate_url": lambda bits: quote(plate(bits)),
        "card": bank_card,
    },
    "firm": {"id": uscc, "name": firm, "mobile": mobile},
    "certificate": {"id": _serial},
    "case": {"number": number, "trace": trace},
}
SERIES: Mapping[str, Mapping[str, Callable[[int], str]]] = {"certificate": {"id": certificate_id}}  # made in a row, one by one
