"""`xmsec backup` and `xmsec restore`: a home in one file, and back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, example
from xmsec.model.errors import ConfigError

if TYPE_CHECKING:
    from xmsec.classify.epochs import Keyring
    from xmsec.cli.settings import Settings
    from xmsec.store.backup import Manifest

BACKUP_EXAMPLE = example("xmsec backup /var/backups/xmsec-monday")
RESTORE_EXAMPLE = example("xmsec restore /var/backups/xmsec-monday --home /var/lib/xmsec")
File = Annotated[Path, typer.Argument(help="The backup: a tar archive packed with zstd.")]
MAY_BE_THERE = ("key", "lock", "playbooks.lock", "cache", "lost+found")  # in a home that counts as empty


def backup(
    file: File,
    with_key: Annotated[
        bool, typer.Option("--with-key", help="Put the key in, too: whoever has the file can then enumerate what is tokened.")
    ] = False,
    home: Home = None,
) -> None:
    """Write store, recordings, models and ledger of one moment to a file; whoever writes in the home goes on meanwhile.

    The key stays out unless asked for, and so do content of your own, caches and simulated traffic.
    """
    from importlib.metadata import version

    from xmsec.cli.home import content_dirs, key_of, now
    from xmsec.cli.keyfile import written
    from xmsec.cli.output import write as say
    from xmsec.cli.settings import settings
    from xmsec.runtime.assemble import content_revision
    from xmsec.store.backup import About, write

    given = settings(home)
    if not given.home.is_dir():
        raise ConfigError("no such home", where=str(given.home), remedy="name it by --home")
    keyring = key_of(given, create=False)
    check = _check(given, keyring)
    about = About(version("xmsec"), now(), check, content_revision(content_dirs(given), given.home))
    manifest = write(given.home, file, about, written(keyring).encode() if with_key else None)
    size = sum(entry.bytes for entry in manifest.files.values())
    say(f"{file} {check} {len(manifest.files)} files, {size} bytes{', with the key' if with_key else ''}")


def _check(given: Settings, keyring: Keyring) -> str:
    """Return the keys' check values. Raises ConfigError when the home's tokens were made with others."""
    from xmsec.store.backup import claimed
    from xmsec.store.claim import agrees

    present = claimed(given.store_path) if given.store_path.exists() else ""
    if present:
        agrees(present, keyring.check, str(given.store_path), "use its key file")
    return keyring.check


def restore(file: File, home: Home = None) -> None:
    """Make an empty home what it was; its key must be there, or in the backup. Killed, the same command begins anew."""
    from xmsec.cli.output import remark
    from xmsec.cli.output import write as say
    from xmsec.cli.settings import settings
    from xmsec.store.backup import read, settle
    from xmsec.store.lock import HomeLock
    from xmsec.store.unfinished import RESTORING, clear

    given = settings(home)
    if not file.is_file():
        raise ConfigError("no such file", where=str(file), remedy="name a file that `xmsec backup` wrote")
    with HomeLock(given.home):
        clear(given.home)
        there = sorted(path.name for path in given.home.iterdir() if path.name not in MAY_BE_THERE)
        if there:
            raise ConfigError(
                f"not an empty home: {', '.join(there[:3])}",
                where=str(given.home),
                remedy="name another --home, or remove this",
            )
        staged = given.home / RESTORING
        staged.mkdir(mode=0o700)
        try:
            manifest = read(file, staged)
            _settle_key(given, staged / "key", manifest)
        except BaseException:
            shutil.rmtree(staged)
            raise
        settle(staged, given.home)
        staged.rmdir()
    for warning in _remarks(given, manifest):
        remark(f"xmsec: {warning}")
    say(f"{given.home} {manifest.key_check} as of {manifest.taken.isoformat(timespec='seconds')}")


def _settle_key(given: Settings, restored: Path, manifest: Manifest) -> None:
    """Make sure that the home has the key of its tokens. Raises ConfigError."""
    from xmsec.cli.home import key_of
    from xmsec.store.claim import agrees
    from xmsec.store.migrate import versions

    if manifest.store_version > versions()[-1][0]:
        raise ConfigError(f"made by a newer xmsec ({manifest.xmsec})", where="the backup", remedy="upgrade xmsec")
    if given.key_command or given.key_path.exists():
        agrees(manifest.key_check, key_of(given, create=False).check, given.key_place, "put its own key there")
    elif restored.exists():
        given.key_path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(restored, given.key_path)
    else:
        what = f"no key; the backup holds none (check value {manifest.key_check})"
        raise ConfigError(what, where=str(given.key_path), remedy="put its key there, mode 600, then restore")
    restored.unlink(missing_ok=True)


def _remarks(given: Settings, manifest: Manifest) -> list[str]:
    from xmsec.cli.home import content_dirs
    from xmsec.runtime.assemble import content_revision

    present = content_revision(content_dirs(given), given.home)
    if present == manifest.content_revision:
        return []
    return [
        f"content differs from then (revision {manifest.content_revision[:12]}, now {present[:12]}); XMSEC_CONTENT_DIRS;"
        " windows that are open go on with what is there now"
    ]
