"""Every string of a document is decoded and cleaned, each field as what it is: a URL, a query, or free text.

So `url.original`, `url.query`, `http.request.referrer` and `user_agent.original` are kept *decoded*, and no field of a document
holds the encoded original: what classification does not see as text does not exist.
"""

from __future__ import annotations

from collections.abc import Callable

from xmsec.model.types import Fields
from xmsec.parse.clean import REPLACEMENT
from xmsec.parse.percent import decoded, decoded_form, decoded_prose, decoded_target

_DECODER_BY_FIELD: dict[str, Callable[[str], str]] = {
    "url.query": decoded_form,
    "url.original": decoded_target,
    "url.full": decoded_target,
    "http.request.referrer": decoded_target,
    "user_agent.original": decoded,
}


def tidy(fields: Fields) -> bool:
    """Decode and clean all strings in place; return whether any of them holds U+FFFD. Raises InputError."""
    replaced = False
    for name, value in fields.items():
        if isinstance(value, str):
            if _untidy(value):
                value = fields[name] = _decoder(name)(value)
                replaced = replaced or REPLACEMENT in value
        elif isinstance(value, list):
            decoder = _decoder(name)
            fields[name] = [decoder(item) if isinstance(item, str) and _untidy(item) else item for item in value]
            replaced = replaced or any(isinstance(item, str) and REPLACEMENT in item for item in fields[name])
    return replaced


def _untidy(text: str) -> bool:
    return not text.isascii() or "%" in text or "+" in text or "\\" in text or not text.isprintable()


def _decoder(name: str) -> Callable[[str], str]:
    found = _DECODER_BY_FIELD.get(name)
    if found is None:
        return decoded if name.startswith("url.") else decoded_prose
    return found
