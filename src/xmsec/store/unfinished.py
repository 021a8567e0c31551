"""A restore that was killed: known by what it leaves, refused by whoever would work there, cleared by the next restore."""

from __future__ import annotations

import shutil
from pathlib import Path

from xmsec.model.errors import ConfigError

RESTORING = ".restoring"  # holds what was not moved into the home yet; while it is there, the home is no home
_MOVED = ("models", "ledger", "exceptions", "recordings")  # before the store, which is moved last


def refuse(home: Path) -> None:
    """Raises ConfigError when a restore into this home has not ended."""
    if (home / RESTORING).exists():
        raise ConfigError("a restore has not ended here", where=str(home), remedy="run `xmsec restore FILE` again")


def clear(home: Path) -> None:
    """Remove what a killed restore left; the home was empty when it began."""
    staged = home / RESTORING
    if not staged.exists():
        return
    for name in (*_MOVED, "store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(staged)
