"""Who may write in a home: locks that the system gives back when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from xmsec.model.errors import ConfigError

WRITER = "lock"  # of states, positions and findings, which its holder keeps in memory too
PLAYBOOKS = "playbooks.lock"  # of playbook runs, so that a person can approve beside a service that reads on
LEDGER = "ledger.lock"  # of the ledger's next revision, so that a person can review beside a service that reads on
RETOKEN = "retoken.lock"  # of who rewrites sealed recordings, beside a service that records on

DELIVERIES = "deliveries.lock"  # of what goes out, so that of several workers over one home a single one sends


class HomeLock:
    """Holds a lock of a home until it is closed. Raises ConfigError when another process holds it; never waits."""

    def __init__(self, home: Path, name: str = WRITER) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise ConfigError(
                "another xmsec is writing here", where=str(home / name), remedy="wait until it ends, or use another --home"
            ) from error

    def close(self) -> None:
        """Let the next writer in."""
        os.close(self._descriptor)

    def __enter__(self) -> HomeLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
