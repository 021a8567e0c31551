"""Where the command begins: on whole standard streams; an interrupt while it still loads ends it as a later one does."""

from __future__ import annotations

import io
import os
import signal
import sys

EXIT_INTERRUPTED = 4


def main() -> None:
    """Load the commands and run the one that was typed."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # who ends it by a signal gets what Ctrl-C gets
        _open_closed()
        _write_utf8()
        from xmsec.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("xmsec: interrupted; before anything was done; type it again\n")
        sys.exit(EXIT_INTERRUPTED)


def _open_closed() -> None:
    """Open what was closed (`>&-`) on nothing: the store would become the standard output otherwise."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - to the end


def _write_utf8() -> None:
    """JSON is UTF-8 whatever the locale; a terminal gets its own characters, and escapes for what it has not."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding=None if sys.stdout.isatty() else "utf-8", errors="backslashreplace")
