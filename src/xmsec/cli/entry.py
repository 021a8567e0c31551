"""Where the command begins: an interrupt while it still loads ends it as one later does."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 4


def main() -> None:
    """Load the commands and run the one that was typed."""
    try:
        from xmsec.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("xmsec: interrupted; before anything was done; type it again\n")
        sys.exit(EXIT_INTERRUPTED)
