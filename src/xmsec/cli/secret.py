"""Passwords and API keys: from a file, or from the environment; never printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr


def secret(given: SecretStr | None, path: Path | None, setting: str) -> str | None:
    """Return a secret that is given by itself or as a file (`<setting>_FILE`). Raises ConfigError, which does not quote it."""
    if given is not None and path is not None:
        raise ConfigError("given twice", where=f"{setting}, {setting}_FILE", remedy="keep one of them")
    if path is None:
        text, where = (None if given is None else given.get_secret_value().strip()), setting
    else:
        text, where = private(path), f"{setting}_FILE={path}"
    if text is not None and (not text or not text.isprintable()):
        raise ConfigError("not one line of text", where=where, remedy="write the secret alone")
    return text


def private(path: Path) -> str:
    """Return the text of a file that holds secrets. Raises ConfigError when it cannot be read, or everybody can."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("secret cannot be read", where=str(path), remedy="check path, owner and permission") from error
    if mode & 0o007:
        raise ConfigError("secret is readable by everybody", where=str(path), remedy=f"chmod 600 {path}")
    return text
