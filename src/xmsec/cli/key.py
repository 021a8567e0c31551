"""`xmsec keys`: make, rotate, retire and check the keys that turn values into tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, example, moment
from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from xmsec.classify.epochs import Epoch, Keyring
    from xmsec.classify.token import Hash
    from xmsec.cli.settings import Settings

app = typer.Typer(help="The keys that turn values into tokens. They live apart from the tokens.", no_args_is_help=True)

NOW = "now"


@app.command("create", epilog=example("XMSEC_KEY_FILE=/etc/xmsec/key xmsec keys create"))
def create(home: Home = None) -> None:
    """Make the key file, once; its hash is XMSEC_TOKEN_HASH."""
    from xmsec.cli.keyfile import create_keys
    from xmsec.cli.output import write

    given = _by_file(home, "it makes the key")
    write(f"{given.key_path} {create_keys(given.key_path, given.token_hash).check}")


@app.command("rotate", epilog=example("xmsec keys rotate --at 2027-01-01T00:00:00+08:00 --link 30d"))
def rotate(
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help='From which event time on it counts: RFC 3339, or "now".', show_default="next local midnight"
        ),
    ] = None,
    link: Annotated[
        str, typer.Option("--link", help="For how long older tokens can be linked to newer ones: 30d, 12h, 0.")
    ] = "30d",
    hash_: Annotated[
        str | None, typer.Option("--hash", help="hmac-sha256 or hmac-sm3.", show_default="the newest key's")
    ] = None,
    home: Home = None,
) -> None:
    """Add a key of a new epoch to the key file.

    Then tell workers by `xmsec content publish`, and start other processes again, all before the epoch begins.
    """
    from xmsec.classify.epochs import Epoch, Keyring
    from xmsec.cli.home import now
    from xmsec.cli.keyfile import alone, read_keys, replace_keys
    from xmsec.cli.output import remark, write

    given = _by_file(home, "it rotates the key")
    with alone(given.key_path):
        keyring = read_keys(given.key_path, given.token_hash)
        start = _start(given, keyring, at, now())
        epoch = Epoch.of(
            _new_key(), _hash(hash_, keyring.epochs[-1].how, str(given.key_path)), len(keyring.epochs) + 1, start, _link(link)
        )
        rotated = Keyring([*keyring.epochs, epoch])
        replace_keys(given.key_path, rotated)
    if start != _midnight(start, given):
        remark(
            "xmsec: it begins within a local day: windows that are open then count a value twice, once a token (docs/keys.md)"
        )
    write(f"{given.key_path} {rotated.check}")
    for line in _told(rotated, given, now()):
        write(line)


@app.command("retire", epilog=example("xmsec keys retire"))
def retire(home: Home = None) -> None:
    """Take the keys out of the key file whose while is over: from then on nobody can link their tokens to later ones."""
    import msgspec

    from xmsec.classify.epochs import Keyring
    from xmsec.cli.home import now
    from xmsec.cli.keyfile import alone, read_keys, replace_keys
    from xmsec.cli.output import write

    given = _by_file(home, "it retires keys")
    with alone(given.key_path):
        keyring, present = read_keys(given.key_path, given.token_hash), now()
        kept = [
            msgspec.structs.replace(epoch, key=None) if ends <= present else epoch
            for epoch, ends in zip(keyring.epochs, keyring.ends, strict=True)
        ]
        if [epoch.key for epoch in kept] != [epoch.key for epoch in keyring.epochs]:
            replace_keys(given.key_path, Keyring(kept))
    for line in _told(Keyring(kept), given, present):
        write(line)


@app.command("check", epilog=example("xmsec keys check"))
def check(home: Home = None) -> None:
    """Print epochs, check values, hash and age; exit 2 when this home's store was made with other keys."""
    from xmsec.cli.home import key_of, now
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.store.sqlite import SqliteStore

    given = settings(home)
    keyring = key_of(given, create=False)
    if given.store_path.exists():
        store = SqliteStore(given.store_path, {})
        try:
            store.claim(keyring.check)
        finally:
            store.close()
    write(f"{given.key_place} {keyring.check}")
    for line in _told(keyring, given, now()):
        write(line)


@app.command("linked", epilog=example("xmsec keys linked ⟨CN_MOBILE:5f2a9c1e00112233⟩"))
def linked(
    token: Annotated[str, typer.Argument(help="A token as it stands in an event or a finding.")],
    home: Home = None,
) -> None:
    """Print the tokens that the same value had in other epochs, by what was recorded since the key was rotated."""
    from xmsec.classify.token import TOKEN
    from xmsec.cli.home import now, opened
    from xmsec.cli.output import write
    from xmsec.runtime.linked import linked as find

    if not TOKEN.fullmatch(token):
        raise ConfigError("not a token", where="keys linked", remedy="write it as ⟨TYPE:16 hexadecimal digits⟩")
    with opened(home, write=False) as here:
        for one in find(token, here.recorded(), here.keyring, now()):
            write(one)


def _by_file(home: Path | None, what: str) -> Settings:
    from xmsec.cli.settings import settings

    given = settings(home)
    if given.key_command:
        remedy = f"{what} where the command reads it, in the form of docs/keys.md"
        raise ConfigError("the key comes from a command", where=given.key_place, remedy=remedy)
    return given


def _start(given: Settings, keyring: Keyring, at: str | None, now: datetime) -> datetime:
    from xmsec.cli.keyfile import LONGEST

    if at == NOW:
        start = now.replace(microsecond=0)
    else:
        start = moment("--at", at) or _midnight(now, given) + timedelta(days=1)
        if not now <= start <= now + LONGEST:
            raise ConfigError("lies in the past, or ten years on", where="--at", remedy='name a coming moment, or "now"')
    last = keyring.epochs[-1]
    if last.number > 1 and start <= last.start:
        what = f"epoch {last.number} begins at {last.start.isoformat()}"
        raise ConfigError(what, where=str(given.key_path), remedy="name a later moment by --at")
    return start.astimezone(given.zone)


def _midnight(time: datetime, given: Settings) -> datetime:
    """Return the local midnight at or before a time."""
    from xmsec.model.clock import DAY, window_of

    return window_of(time, DAY, given.zone).start


def _hash(name: str | None, usual: Hash, where: str) -> Hash:
    from xmsec.classify.token import HASHES
    from xmsec.cli.keyfile import usable

    for how in HASHES:
        if how == (name or usual):
            usable(how, where)
            return how
    raise ConfigError(f'no hash "{name}"', where="--hash", remedy=f"one of {', '.join(HASHES)}")


def _link(text: str) -> timedelta:
    from xmsec.cli.keyfile import while_of

    found = while_of(text)
    if found is None:
        raise ConfigError("not a while", where="--link", remedy="write 30d, 12h or 0")
    return found


def _new_key() -> bytes:
    import secrets

    return secrets.token_bytes(32)


def _told(keyring: Keyring, given: Settings, now: datetime) -> list[str]:
    """Say of each epoch what it is, how old, and whether it is in use."""
    if len(keyring.epochs) == 1 and not given.key_command:
        (only,), days = keyring.epochs, int((now.timestamp() - given.key_path.stat().st_mtime) // 86_400)
        return [f"1 {only.how} {only.check} from the beginning, newest, its file {days} days old"]
    return [
        f"{epoch.number} {epoch.how} {epoch.check} {_since(epoch, given, now)}, {_use(epoch, ends, given, now)}"
        for epoch, ends in zip(keyring.epochs, keyring.ends, strict=True)
    ]


def _since(epoch: Epoch, given: Settings, now: datetime) -> str:
    if epoch.number == 1:
        return "from the beginning"
    begun = epoch.start.astimezone(given.zone).isoformat()
    return f"begins {begun}" if epoch.start > now else f"since {begun} ({(now - epoch.start).days} days)"


def _use(epoch: Epoch, ends: datetime, given: Settings, now: datetime) -> str:
    from xmsec.model.clock import FAR

    if epoch.key is None:
        return "retired"
    if ends == FAR:
        return "newest"
    until = ends.astimezone(given.zone).isoformat()
    return f"can be linked until {until}" if ends > now else f"its while ended {until}: `xmsec keys retire`"
