"""The command `xmsec` as a process, in homes of its own that share one key and one warm cache."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from io import BytesIO, TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import IO, Any

import pytest

XMSEC = (sys.executable, "-c", "from xmsec.cli.entry import main; main()")
KEY = "6b" * 32
CACHE = Path(gettempdir()) / "xmsec-tests-road"  # compiled rules and patterns, by content hash, so that runs share them


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a test's process: nothing of the deployment that the tests run in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XMSEC_")}
    return {**kept, **(more or {})}


def xmsec(
    *arguments: str | Path, env: Mapping[str, str] | None = None, given: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [*XMSEC, *map(str, arguments)], input=given, capture_output=True, env=environment(env), cwd=cwd, timeout=300
    )


def called(
    *arguments: str | Path, env: Mapping[str, str] | None = None, given: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end in this process: a tenth of the time of `xmsec`, where the process is not the point."""
    from xmsec.cli.logs import ask
    from xmsec.cli.main import main

    words, code = ["xmsec", *map(str, arguments)], 0
    with pytest.MonkeyPatch.context() as place, TemporaryFile() as out, TemporaryFile() as err:
        for name in os.environ.keys() - environment().keys():
            place.delenv(name)
        for name, value in (env or {}).items():
            place.setenv(name, value)
        place.chdir(cwd or Path.cwd())
        place.setattr(sys, "argv", words)
        place.setattr(sys, "stdin", TextIOWrapper(BytesIO(given)))
        # by descriptors of their own: a command closes its output where an error ends it
        with _text(out) as sys_out, _text(err) as sys_err:
            place.setattr(sys, "stdout", sys_out)
            place.setattr(sys, "stderr", sys_err)
            try:
                main()
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                ask(None)
        return subprocess.CompletedProcess(words, code, _whole(out), _whole(err))


def _text(file: IO[bytes]) -> IO[str]:
    return open(os.dup(file.fileno()), "w", encoding="utf-8")


def _whole(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def started(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start the command and leave it running."""
    return subprocess.Popen(
        [*XMSEC, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(env)
    )


def rows(output: bytes) -> list[dict[str, Any]]:
    """Read JSON lines."""
    return [json.loads(line) for line in output.splitlines()]


def new_home(home: Path, warm: Path) -> Path:
    """Make a home that has the tests' key, and rules and patterns compiled already: those of another home or the tests' own."""
    home.mkdir(parents=True)
    key = home / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    if (warm / "cache").is_dir():
        shutil.copytree(warm / "cache", home / "cache")
    else:
        CACHE.mkdir(exist_ok=True)
        (home / "cache").symlink_to(CACHE)
    return home


def table(home: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask a home's store."""
    with closing(sqlite3.connect(home / "store.sqlite")) as store:
        return store.execute(query).fetchall()
