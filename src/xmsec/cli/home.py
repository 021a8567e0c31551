"""A deployment's home, opened: its settings, key, content and store."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from xmsec.classify.epochs import Keyring
from xmsec.cli.keyfile import create_keys, read_keys
from xmsec.cli.output import remark
from xmsec.cli.settings import Settings, settings
from xmsec.model.errors import ConfigError
from xmsec.model.types import Incident
from xmsec.pipeline.road import Taken
from xmsec.runtime.assemble import Deployment, assemble
from xmsec.runtime.files import Rig
from xmsec.store.archive import Archive
from xmsec.store.lock import PLAYBOOKS, HomeLock
from xmsec.store.runs import Runs
from xmsec.store.sqlite import SqliteStore
from xmsec.store.unfinished import refuse


def now() -> datetime:
    """Return the wall clock's time: the edge stamps records with it, the core never asks."""
    return datetime.now(UTC)


class Opened:
    """What a command works with; `close` gives the store back."""

    def __init__(self, given: Settings, deployment: Deployment, keyring: Keyring) -> None:
        self.settings, self.deployment = given, deployment
        self.keyring, self.key_check = keyring, keyring.check
        self.recordings = given.home / "recordings"
        self.store = SqliteStore(given.store_path, deployment.codecs)
        self.store.claim(self.key_check)

    @property
    def rig(self) -> Rig:
        """What log files are driven along and into."""
        return Rig(self.deployment, self.store, self.recordings, self.key_check)

    @property
    def runs(self) -> Runs:
        """The record of playbook runs."""
        return Runs(lambda: self.store.connection, now, lambda: HomeLock(self.settings.home, PLAYBOOKS))

    @property
    def budgets(self) -> Mapping[str, float]:
        """How many entities a day each model may tell although nothing is wrong."""
        return {name: recipe.budget_per_day for name, recipe in self.deployment.recipes.items()}

    def recorded(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[Taken]:
        """Yield what this home recorded, merged with what workers did: events whose time is in [start, end), and every tick."""
        from xmsec.runtime.recorded import everything

        return everything(self.rig, Archive(self.settings.shelf), start, end)

    def incident(self, given: str) -> Incident:
        """Return an incident by its id or the beginning of it. Raises ConfigError."""
        ids = [one for (one,) in self.store.connection.execute("SELECT id FROM incidents ORDER BY id")]
        found = one_of(given, ids, "incident", "xmsec incidents list")
        (body,) = self.store.connection.execute("SELECT body FROM incidents WHERE id = ?", (found,)).fetchone()
        return msgspec.json.decode(body, type=Incident)


def one_of(given: str, known: Iterable[str], what: str, see: str, where: str = "this home") -> str:
    """Return the only known id that begins as given. Raises ConfigError when there is none or more than one."""
    found = [one for one in known if one.startswith(given)]
    if given in found:
        return given
    if len(found) != 1:
        raise ConfigError(f'{len(found) or "no"} {what}s begin with "{given}"', where=where, remedy=f"see {see}")
    return found[0]


def key_of(given: Settings, *, create: bool) -> Keyring:
    """Read the deployment's keys, from a command where one is named.

    An embedded home makes its key at its first start, and no other for a store that it has.
    """
    if given.key_command:
        from xmsec.cli.keycommand import ask_keys

        if given.key_file is not None:
            raise ConfigError("given twice", where="XMSEC_KEY_FILE, XMSEC_KEY_COMMAND", remedy="keep one of them")
        return ask_keys(given.key_command, given.token_hash)
    if create and given.key_file is None and not given.key_path.exists() and not given.store_path.exists():
        return create_keys(given.key_path, given.token_hash)
    return read_keys(given.key_path, given.token_hash)


def content_dirs(given: Settings) -> Sequence[Path]:
    """Return the content directories: what is shipped, then the deployment's own, which replaces it file by file."""
    from xmsec.content.load import shipped

    missing = [path for path in given.content_dirs if not path.is_dir()]
    if missing:
        raise ConfigError("content directory does not exist", where=str(missing[0]), remedy="correct XMSEC_CONTENT_DIRS")
    return [shipped(), *given.content_dirs]


def deployment_of(given: Settings, keyring: Keyring) -> Deployment:
    """Assemble the road of a home from its content; what does not load is named on stderr."""
    deployment = assemble(content_dirs(given), given.home, keyring, given.zone)
    for problem in deployment.problems:
        remark(f"xmsec: {problem}")
    return deployment


def roaded(home: Path | None) -> Deployment:
    """Assemble a home's road without its store, for commands that only read records; the key is made at the first start."""
    given = settings(home)
    return deployment_of(given, key_of(given, create=True))


@contextmanager
def opened(home: Path | None, *, write: bool) -> Iterator[Opened]:
    """Open a home; write: as its only writer. Raises ConfigError when another process writes there."""
    given = settings(home)
    lock = HomeLock(given.home) if write else None
    if not given.home.is_dir():
        raise ConfigError("no such home", where=str(given.home), remedy="run xmsec demo or xmsec scan first, or name --home")
    try:
        refuse(given.home)
        keyring = key_of(given, create=write)
        here = Opened(given, deployment_of(given, keyring), keyring)
        try:
            yield here
        finally:
            here.store.close()
    finally:
        if lock is not None:
            lock.close()


def monotonic() -> float:
    """Return seconds that only ever grow."""
    return time.monotonic()
