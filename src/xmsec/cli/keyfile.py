"""The key file: 64 hexadecimal digits alone, or a line for each epoch; readable by its owner alone, replaced whole."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from xmsec.classify.epochs import Epoch, Keyring
from xmsec.classify.token import HASHES, SHA256, Hash, computable
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError
from xmsec.store.durable import sync_folder

HEAD = "# xmsec keys: epoch, hash, start, while in which the epoch before can be linked, key"
RETIRED = "retired:"
NONE = "-"  # the first epoch's start and while
_BARE = re.compile(r"[0-9a-fA-F]{64}")
_CHECK = re.compile(r"(sm3:)?[0-9a-f]{16}")
_WHILE = re.compile(r"([0-9]{1,9})([smhd])")
LONGEST = timedelta(days=3660)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_keys(path: Path, how: Hash | None = None) -> Keyring:
    """Read the keys. how: as the settings say. Raises ConfigError when the file is missing, open to others, or no key file."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii")
    except FileNotFoundError as error:
        raise ConfigError("no key file", where=str(path), remedy="xmsec keys create, or name it by XMSEC_KEY_FILE") from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path), remedy="check path and permission") from error
    except UnicodeDecodeError as error:
        raise _no_key(str(path)) from error
    keyring = parse_keys(text, str(path), how)
    if mode & 0o077:
        raise ConfigError("key file is readable by others", where=str(path), remedy=f"chmod 600 {path}")
    return keyring


def parse_keys(text: str, where: str, how: Hash | None = None) -> Keyring:
    """Read the keys of a text. how: what the newest one's hash must be. Raises ConfigError, which quotes no key."""
    if _BARE.fullmatch(text.strip()):
        usable(how or SHA256, where)
        return Keyring([Epoch.of(bytes.fromhex(text.strip()), how or SHA256)])
    epochs: list[Epoch] = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            epochs.append(_epoch(line.split(), epochs, f"{where}:{number}" if "\n" in text.strip() else where))
    if not epochs or epochs[-1].key is None:
        raise _no_key(where)
    if how is not None and epochs[-1].how != how:
        what = f"the newest key's hash is {epochs[-1].how}, the setting says {how}"
        raise ConfigError(what, where=f"{where}, XMSEC_TOKEN_HASH", remedy="take the setting away, or correct it")
    return Keyring(epochs)


def written(keyring: Keyring) -> str:
    """Write keys as a key file holds them: one without epochs as before there were any."""
    if len(keyring.epochs) == 1 and keyring.epochs[0].how == SHA256 and keyring.epochs[0].key:
        return keyring.epochs[0].key.hex() + "\n"
    return "".join(f"{line}\n" for line in (HEAD, *map(_line, keyring.epochs)))


def create_keys(path: Path, how: Hash | None = None) -> Keyring:
    """Write a new key; an existing one is never replaced. Raises ConfigError."""
    usable(how or SHA256, str(path))
    keyring = Keyring([Epoch.of(secrets.token_bytes(32), how or SHA256)])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError("a key is there already", where=str(path), remedy="keep it: another one breaks all tokens") from error
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=str(path), remedy="check path and permission"
        ) from error
    _fill(handle, keyring)
    return keyring


def replace_keys(path: Path, keyring: Keyring) -> None:
    """Put another text in the place of a key file: whoever reads it, and whatever dies, finds the old one or the new one."""
    path = path.resolve()
    before = path.stat()
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)  # of one that was killed
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(handle, before.st_uid, before.st_gid)  # root rotates what the service's user reads
        os.fchmod(handle, before.st_mode & 0o700)
        _fill(handle, keyring)
        os.replace(part, path)
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(
            f"cannot be replaced: {error.strerror}", where=str(path), remedy="check owner, path and permission"
        ) from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the folder of a key file against others who would replace it. Raises ConfigError."""
    try:
        folder = os.open(path.resolve().parent, os.O_RDONLY)
    except OSError as error:
        raise ConfigError("no key file", where=str(path), remedy="xmsec keys create, or name it by XMSEC_KEY_FILE") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigError("keys are replaced by another process", where=str(path), remedy="wait for it") from error
    finally:
        os.close(folder)


def usable(how: Hash, where: str) -> None:
    """Raise ConfigError when tokens cannot be made under a hash here."""
    if not computable(how):
        what = f"{how} cannot be computed here: {ssl.OPENSSL_VERSION} has no SM3 (built without it, or in FIPS mode)"
        raise ConfigError(what, where=where, remedy="use a Python whose OpenSSL has SM3 (docs/keys.md), or hmac-sha256")


def while_of(text: str) -> timedelta | None:
    """Read a while such as 30d or 12h, or 0; None when it is none, or more than ten years.

    >>> while_of("36h"), while_of("month")
    (datetime.timedelta(days=1, seconds=43200), None)
    """
    found = _WHILE.fullmatch(text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    return timedelta(0) if text == "0" else length if length is not None and length <= LONGEST else None


def _epoch(words: list[str], before: list[Epoch], where: str) -> Epoch:
    if len(words) != 5 or words[0] != str(len(before) + 1) or words[1] not in HASHES:
        raise _no_key(where)
    number, how = len(before) + 1, HASHES[HASHES.index(words[1])]
    start, link = _when(words[2:4], first=not before)
    if start is None or link is None or (before and start <= before[-1].start):
        raise _no_key(where)
    if words[4].startswith(RETIRED) and _CHECK.fullmatch(check := words[4].removeprefix(RETIRED)):
        if before and before[-1].key is not None:
            raise _no_key(where)  # the oldest go first
        return Epoch(number, how, start, link, None, check)
    if not _BARE.fullmatch(words[4]):
        raise _no_key(where)
    usable(how, where)
    return Epoch.of(bytes.fromhex(words[4]), how, number, start, link)


def _when(words: list[str], *, first: bool) -> tuple[datetime | None, timedelta | None]:
    if first:
        return (EPOCH, timedelta(0)) if words == [NONE, NONE] else (None, None)
    try:
        start = datetime.fromisoformat(words[0])
    except ValueError:
        return None, None
    return (start if start.tzinfo and start < _LATEST else None), while_of(words[1])


def _line(epoch: Epoch) -> str:
    first = epoch.number == 1
    start, link = (NONE, NONE) if first else (epoch.start.isoformat(), _while(epoch.link))
    return f"{epoch.number} {epoch.how} {start} {link} {epoch.key.hex() if epoch.key else RETIRED + epoch.check}"


def _while(link: timedelta) -> str:
    seconds = int(link.total_seconds())
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds and not seconds % unit:
            return f"{seconds // unit}{name}"
    return f"{seconds}s" if seconds else "0"


def _fill(handle: int, keyring: Keyring) -> None:
    with os.fdopen(handle, "w") as file:
        file.write(written(keyring))
        file.flush()
        os.fsync(file.fileno())


def _no_key(where: str) -> ConfigError:
    return ConfigError("not a key file", where=where, remedy="it holds 64 hexadecimal digits, or epochs; restore it")
