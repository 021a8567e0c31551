"""Whether the files that a stream names can be read at all: a folder that is not mounted looks like one without news."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

MOST = 1_000  # files of a pattern that are looked at


def unreadable(patterns: Iterable[str]) -> Sequence[str]:
    """Return what is wrong, a sentence each: a pattern's folder is missing or may not be listed, a file may not be read."""
    wrong: list[str] = []
    for pattern in patterns:
        folder = _folder(pattern)
        if not folder.is_dir():
            wrong.append(f"no such folder: {folder}")
        elif not os.access(folder, os.R_OK | os.X_OK):
            wrong.append(f"folder may not be listed: {folder}")
        else:
            found = sorted(glob.glob(pattern, recursive=True))[:MOST]
            wrong += [f"file may not be read: {path}" for path in found if not os.access(path, os.R_OK)]
    return wrong


def _folder(pattern: str) -> Path:
    """Return the folder below which all that a pattern names lies: what stands before its first wildcard."""
    parts = Path(pattern).parts
    fixed = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:fixed])
