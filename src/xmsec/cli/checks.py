"""What `xmsec doctor` looks at on this machine; nothing is changed, and a store is not migrated."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import msgspec

from xmsec.cli.settings import Settings

FREE_BYTES = 1 << 30  # a day of 10 million events records some 500 MB
ROOMY_BYTES = 5 << 30
SOURCE_FILES = "readable by the user that xmsec runs as, and mounted"
AHEAD = timedelta(minutes=5)  # a store whose last record is later than now: the clock went back


class Verdict(msgspec.Struct, frozen=True):
    """What a check found, and what to do about it."""

    state: Literal["ok", "warn", "fail"]
    says: str
    remedy: str = ""


Said = Iterator[Verdict]


def _dependencies(_: Settings) -> Said:
    missing = []
    for requirement in requires("xmsec") or ():
        named = re.match(r"[\w.-]+", requirement)
        if named and "extra ==" not in requirement:
            try:
                version(named[0])
            except PackageNotFoundError:
                missing.append(named[0])
    if missing:
        yield Verdict("fail", f"not installed: {', '.join(sorted(missing))}", "install xmsec again, from lock or bundle")
    else:
        yield Verdict("ok", f"xmsec {version('xmsec')}, Python {sys.version.split()[0]}")


def _settings(given: Settings) -> Said:
    for name in type(given).model_fields:
        value = getattr(given, name)
        told = os.pathsep.join(map(str, value)) if isinstance(value, tuple) else value  # as the environment writes it
        if name == "key_command" and value:
            told = value[0]  # what follows may be somebody's secret
        yield Verdict("ok", f"XMSEC_{name.upper()}={'' if told is None else told}")


def _key(given: Settings) -> Said:
    from xmsec.cli.home import key_of, now

    keyring, present = key_of(given, create=False), now()
    over = [one.number for one, ends in zip(keyring.epochs, keyring.ends, strict=True) if one.key and ends <= present]
    if over:
        yield Verdict("warn", f"the while of epoch {over[-1]} is over: its key is still there", "xmsec keys retire")
    yield Verdict("ok", f"{given.key_place}, check value {keyring.check}")


def _permissions(given: Settings) -> Said:
    from xmsec.store.unfinished import refuse

    home = given.home
    if not home.is_dir():
        yield Verdict("warn", f"no home yet: {home}", "xmsec demo, scan or run make it, or name it by XMSEC_HOME")
        return
    refuse(home)
    unwritable = [str(path) for path in (home, *sorted(home.iterdir())) if not os.access(path, os.W_OK)]
    for path in unwritable:
        yield Verdict("fail", f"may not be written: {path}", "chown it to the user that xmsec runs as")
    if home.stat().st_mode & 0o007:
        yield Verdict("warn", f"everybody may look into {home}", f"chmod o-rwx {home}")
    if not unwritable:
        yield Verdict("ok", f"{home} may be written")


def _clock(given: Settings) -> Said:
    now = datetime.now(UTC)
    latest = _latest(given.store_path)
    if latest is not None and latest > now + AHEAD:
        yield Verdict(
            "fail", f"the clock went back: the last record came at {latest:%F %T}, now is {now:%F %T}", "set it, by NTP"
        )
    else:
        yield Verdict("ok", f"{now.astimezone(given.zone):%F %T %z}, days begin at midnight in {given.timezone}")


def _latest(store: Path) -> datetime | None:
    """Return when the last record came."""
    from xmsec.model.types import Clock

    if not store.exists():
        return None
    decode = msgspec.msgpack.Decoder(Clock).decode
    with closing(_reading(store)) as connection:
        clocks = [decode(body) for (body,) in connection.execute("SELECT body FROM clocks")]
    return max((clock.received for clock in clocks if clock.received is not None), default=None)


def _disk(given: Settings) -> Said:
    for path in dict.fromkeys((given.home, Path(given.shelf) if "://" not in given.shelf else given.home)):
        there = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        free = shutil.disk_usage(there).free
        said = f"{free >> 20} MiB free for {path}"
        if free <= FREE_BYTES:
            yield Verdict("fail", said, "free some, or xmsec recordings prune")
        elif free <= ROOMY_BYTES:
            yield Verdict("warn", said, "a day of 10 million events records some 500 MB")
        else:
            yield Verdict("ok", said)


def _content(given: Settings) -> Said:
    from xmsec.cli.home import content_dirs, key_of
    from xmsec.runtime.assemble import assemble

    deployment = assemble(content_dirs(given), given.home, key_of(given, create=False), given.zone)
    for problem in deployment.problems:
        yield Verdict("fail", "; ".join(filter(None, (problem.what, problem.where))), problem.remedy)
    for missing in deployment.missing:
        yield Verdict("warn", missing, "xmsec detectors train MODEL")
    kinds = f"{len(deployment.streams)} streams, {len(deployment.files)} detectors, {len(deployment.playbooks)} playbooks"
    yield Verdict("ok", f"{kinds}, ledger revision {deployment.ledger.revision}")


def _sources(given: Settings) -> Said:
    from xmsec.cli.home import content_dirs
    from xmsec.content.streams import load_streams
    from xmsec.sources.readable import unreadable

    followed = [stream for stream in load_streams(content_dirs(given))[0].values() if stream.paths]
    wrong = [(stream.id, said) for stream in followed for said in unreadable(stream.paths)]
    for name, said in wrong:
        yield Verdict("fail", f"{name}: {said}", f"make it {SOURCE_FILES}")
    if not wrong:
        yield Verdict("ok", f"files of {len(followed)} streams can be read")


def _store(given: Settings) -> Said:
    from xmsec.cli.home import key_of
    from xmsec.store.backup import claimed
    from xmsec.store.claim import agrees
    from xmsec.store.migrate import versions

    path = given.store_path
    if not path.exists():
        yield Verdict("warn", f"nothing was read yet: {path}", "xmsec scan or run make it; workers need none")
        return
    with closing(_reading(path)) as connection:
        if present := claimed(path):
            agrees(present, key_of(given, create=False).check, str(path), "use its key file")
        (schema,), (sound,) = (connection.execute(f"PRAGMA {what}").fetchone() for what in ("user_version", "quick_check(1)"))
        (findings,) = connection.execute("SELECT count(*) FROM findings").fetchone()
    if schema > versions()[-1][0]:
        yield Verdict("fail", f"written by a newer xmsec (store version {schema}): {path}", "upgrade xmsec")
    elif sound != "ok":
        yield Verdict("fail", f"the store is damaged: {path}", "xmsec restore FILE into an empty home")
    else:
        yield Verdict("ok", f"{path}, {findings} findings")


def _reading(path: Path) -> sqlite3.Connection:
    from xmsec.model.errors import ConfigError

    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error as error:
        raise ConfigError(f"cannot be read ({type(error).__name__})", where=str(path), remedy="restore a backup") from error
    return connection


def _sign_on(given: Settings) -> Said:
    from xmsec.cli.rooms import issuer_of

    issuer = issuer_of(given)
    if issuer is None:
        yield Verdict("ok", "local people alone")
    elif not issuer.declared.grants:
        yield Verdict("warn", f"{issuer.declared.issuer}: no group has a role", "write [[grants]] in XMSEC_OIDC")
    else:
        yield Verdict("ok", f"{issuer.declared.issuer}: {len(issuer.declared.grants)} grants")


LOCAL: Mapping[str, Callable[[Settings], Said]] = {
    "dependencies": _dependencies,
    "settings": _settings,
    "key": _key,
    "permissions": _permissions,
    "clock": _clock,
    "disk": _disk,
    "content": _content,
    "sources": _sources,
    "store": _store,
    "sign-on": _sign_on,
}
