"""The token key's file: 32 random bytes in hexadecimal, readable by its owner alone; and `xmsec keys`."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import typer

from xmsec.cli.options import Home, example
from xmsec.model.errors import ConfigError

app = typer.Typer(help="The key that turns values into tokens. It lives apart from the tokens.", no_args_is_help=True)


def read_key(path: Path) -> bytes:
    """Read the key. Raises ConfigError when it is missing, open to others, or not a key."""
    try:
        mode = path.stat().st_mode
        text = path.read_text("ascii").strip()
        key = bytes.fromhex(text)
    except FileNotFoundError as error:
        raise ConfigError("no key file", where=str(path), remedy="xmsec keys create, or name it by XMSEC_KEY_FILE") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError("not a key file", where=str(path), remedy="it holds 64 hexadecimal digits; restore it") from error
    if len(key) != 32:
        raise ConfigError("not a key file", where=str(path), remedy="it holds 64 hexadecimal digits; restore it")
    if mode & 0o077:
        raise ConfigError("key file is readable by others", where=str(path), remedy=f"chmod 600 {path}")
    return key


def create_key(path: Path) -> bytes:
    """Write a new key; an existing one is never replaced. Raises ConfigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigError("a key is there already", where=str(path), remedy="keep it: another one breaks all tokens") from error
    except OSError as error:
        raise ConfigError(
            f"cannot be written: {error.strerror}", where=str(path), remedy="check path and permission"
        ) from error
    key = secrets.token_bytes(32)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


@app.command("create", epilog=example("XMSEC_KEY_FILE=/etc/xmsec/key xmsec keys create"))
def create(home: Home = None) -> None:
    """Make the key file, once."""
    from xmsec.classify.token import check_value
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings

    path = settings(home).key_path
    write(f"{path} {check_value(create_key(path))}")


@app.command("check", epilog=example("xmsec keys check"))
def check(home: Home = None) -> None:
    """Print the key's check value; exit 2 when this home's store was made with another key."""
    from xmsec.classify.token import check_value
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.store.sqlite import SqliteStore

    given = settings(home)
    value = check_value(read_key(given.key_path))
    if given.store_path.exists():
        store = SqliteStore(given.store_path, {})
        try:
            store.claim(value)
        finally:
            store.close()
    write(f"{given.key_path} {value}")
