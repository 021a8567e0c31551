"""The key by a command: what it writes to its standard output is a key file's text. It is run once; nothing of it is shown."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import cache

from xmsec.classify.epochs import Keyring
from xmsec.classify.token import Hash
from xmsec.cli.keyfile import parse_keys
from xmsec.model.errors import ConfigError

TIMEOUT_S = 30.0
MOST_BYTES = 1 << 16  # a key file of 400 epochs


@cache
def ask_keys(command: Sequence[str], how: Hash | None, timeout_s: float = TIMEOUT_S) -> Keyring:
    """Run the command, without a shell, and read the keys that it prints. Raises ConfigError, which names its first word."""
    where = f"XMSEC_KEY_COMMAND={command[0]}"
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"the key command cannot be run: {why}", where=where, remedy="correct its path") from None
    try:
        said = _read(process, time.monotonic() + timeout_s)
    finally:
        _end(process)
    if said is None:
        raise ConfigError(f"the key command said nothing whole within {timeout_s:g} s", where=where, remedy="run it by hand")
    if process.returncode:
        what = f"the key command ended with {process.returncode}"
        raise ConfigError(what, where=where, remedy="run it by hand; what it says is not shown here")
    try:
        text = said.decode("ascii")
    except UnicodeDecodeError:
        text = ""
    return parse_keys(text, where, how)


def _read(process: subprocess.Popen[bytes], until: float) -> bytes | None:
    """Return what a process writes up to its end; None when it goes on for too long, or writes more than keys are."""
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0 and len(said) <= MOST_BYTES:
            if ready.select(left):
                more = os.read(process.stdout.fileno(), MOST_BYTES)
                if not more:
                    return said if _ended(process, until) else None
                said += more
    return None


def _ended(process: subprocess.Popen[bytes], until: float) -> bool:
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what still runs, with its children, which may hold its output open."""
    if process.returncode is None:  # nobody waited for it yet, so the number of its group is still its own
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
