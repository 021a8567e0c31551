"""Bank card numbers (ISO/IEC 7812-1, JR/T 0008): an issuer's prefix, and Luhn's check digit."""

from __future__ import annotations

from xmsec.classify.validators.digits import bare, luhn, numeric

# a short table of well-known prefixes; an unknown one is still a card when a context word says so
ISSUERS: dict[str, str] = {
    **dict.fromkeys(("622202", "622200", "621226", "621225", "620058", "621281", "955880", "622208", "622203"), "ICBC"),
    **dict.fromkeys(("621700", "622700", "436742", "621284", "623668", "622280", "625362"), "CCB"),
    **dict.fromkeys(("622848", "622845", "622846", "622849", "623052", "955950"), "ABC"),
    **dict.fromkeys(("621661", "621660", "456351", "621790", "621785", "622760", "601382", "621663"), "BOC"),
    **dict.fromkeys(("622576", "622588", "621483", "621485", "622580", "622575", "410062"), "CMB"),
    **dict.fromkeys(("622188", "622150", "622151", "621096", "621098", "621799", "620062"), "PSBC"),
    **dict.fromkeys(("622260", "622261", "622258", "622262", "405512"), "BOCOM"),
    **dict.fromkeys(("622908", "622909", "622902", "622901"), "CIB"),
    **dict.fromkeys(("622690", "622691", "622692", "622696"), "CITIC"),
    **dict.fromkeys(("622521", "622522", "622518", "622516"), "SPDB"),
    **dict.fromkeys(("622660", "622662", "622663", "620535"), "CEB"),
    **dict.fromkeys(("622615", "622617", "622618", "622622"), "CMBC"),
}
# blocks of 62 in which cards are in fact issued; the rest of 62 is too wide against 19-digit serial numbers
_UNIONPAY_BLOCKS = frozenset(
    (*map(str, range(6210, 6218)), *map(str, range(6220, 6237)), *map(str, range(6250, 6260)), "6282", "6283", "6291", "6292")
)


def issuer(number: str) -> str:
    """Return who issued a card, by its first six digits; "other" when the short table does not know.

    >>> issuer("6228480402564890018"), issuer("4111111111111111")
    ('ABC', 'other')
    """
    return ISSUERS.get(number[:6], "other")


def bank_card(text: str) -> bool | None:
    """True with Luhn's digit and a known issuer's prefix; undecided with Luhn's digit alone, which one number in ten has.

    Cards and accounts of old that do not follow Luhn are refused: nothing tells them from any other number.

    >>> bank_card("6228 4804 0256 4890 018"), bank_card("6222021234567890123"), bank_card("9343200000000003")
    (True, False, None)
    """
    number = bare(text)
    if not numeric(number) or not 15 <= len(number) <= 19 or len(set(number)) == 1 or not luhn(number):
        return False
    if number[:6] in ISSUERS or (len(number) >= 16 and number[:4] in _UNIONPAY_BLOCKS):
        return True
    return True if _international(number) else None


def _international(number: str) -> bool:
    """Whether length and prefix are those of Visa, Mastercard, American Express or JCB."""
    if len(number) == 15:
        return number[:2] in ("34", "37")
    return len(number) == 16 and (number[0] == "4" or "51" <= number[:2] <= "55" or "3528" <= number[:4] <= "3589")
