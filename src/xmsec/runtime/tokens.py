"""Who may send records over HTTP: a file of tokens' hashes, looked at again when it changes. Without one nobody may."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path

import msgspec

from xmsec.model.errors import ConfigError

_LINE = re.compile(r"(\S+)\s+(?:sha256:)?([0-9a-fA-F]{64})((?:\s+\S+)+)")


class Sender(msgspec.Struct, frozen=True):
    """Whom a token belongs to, and the streams that it may send, as names or wildcards."""

    name: str
    streams: Sequence[str]

    def may(self, stream: str) -> bool:
        """Whether it may send a stream."""
        return any(fnmatchcase(stream, one) for one in self.streams)


class Tokens:
    """The senders of a file: `NAME SHA256-OF-THE-TOKEN STREAM…` a line; `#` begins a comment. Raises ConfigError."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[int, int] | None = None
        self._senders: Mapping[str, Sender] = {}
        self._look()

    def sender(self, authorization: str) -> Sender | None:
        """Return who speaks: a bearer token, or a Basic password that is one. Raises ConfigError when the file is wrong now."""
        self._look()
        scheme, _, said = authorization.strip().partition(" ")
        token = said.strip()
        if scheme.lower() == "basic":
            token = _password(token)
        elif scheme.lower() != "bearer":
            return None
        return self._senders.get(sha256(token.encode("utf-8", "surrogateescape")).hexdigest()) if token else None

    def _look(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
            now = (status.st_mtime_ns, status.st_size)
            if now != self._read:
                self._senders, self._read = {}, None
                self._senders, self._read = _senders(self._path), now
        except (OSError, UnicodeError) as error:
            self._senders, self._read = {}, None
            what = f"the file of tokens cannot be read ({type(error).__name__})"
            raise ConfigError(what, where=str(self._path), remedy="correct XMSEC_INGEST_TOKENS") from error


def _senders(path: Path) -> Mapping[str, Sender]:
    found: dict[str, Sender] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigError(
                "not a token's line", where=f"{path}:{number}", remedy="write NAME, the SHA-256 of the token, and its streams"
            )
        found[match[2].lower()] = Sender(match[1], match[3].split())
    return found


def _password(said: str) -> str:
    try:
        return b64decode(said, validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""
