"""Whose tokens they are: stores, indices and recordings keep the check values of the keys of their tokens, in the keys' order.

After a rotation there is one more. Who knows all that are kept, and newer ones besides, may go on and note them; who does not
know the newest must not, or the same value would get two tokens in one epoch.
"""

from __future__ import annotations

from xmsec.model.errors import ConfigError

USE_ITS_KEY = "use its key file, or another home"


def agrees(present: str, key_check: str, where: str, remedy: str = USE_ITS_KEY) -> bool:
    """Whether what is kept names all epochs of the keys at hand; False: there are newer ones, which may be noted.

    Raises ConfigError when tokens there were made with other keys, under another hash, or in an epoch that is not known here.
    """
    if present == key_check:
        return True
    kept, given = present.split("+"), key_check.split("+")
    if given[: len(kept)] == kept:
        return False
    if kept[: len(given)] == given:
        what = f"made under epoch {len(kept)} (check value {kept[-1]}); the key file here ends with epoch {len(given)}"
        raise ConfigError(what, where=where, remedy=f"bring the key file that holds epoch {len(kept)}")
    was, one = next(pair for pair in zip(kept, given, strict=False) if pair[0] != pair[1])
    if _hash(was) != _hash(one):
        what = f"made under {_hash(was)} (check value {was}), this key's hash is {_hash(one)} ({one})"
        raise ConfigError(what, where=where, remedy="set XMSEC_TOKEN_HASH as it was, or rotate the key to change it")
    raise ConfigError(f"made with another key (check value {was}, this key's is {one})", where=where, remedy=remedy)


def _hash(check: str) -> str:
    return "HMAC-SM3" if check.startswith("sm3:") else "HMAC-SHA-256"
