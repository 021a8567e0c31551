"""What a worker counted is told again and again, in a thread of its own: nobody waits for it, nothing stops when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from xmsec.model.errors import XmsecError
from xmsec.runtime.faust.post import log

EVERY_S = 5.0  # as the console's pace looks; ten workers of a hundred streams write some 200 totals a second


@contextmanager
def telling(tell: Callable[[], None], every_s: float = EVERY_S) -> Iterator[None]:
    """Tell now and then, and once more at the end; what is wrong is said once, and it is tried again."""
    ended = Event()
    said = ""

    def attempt() -> None:
        nonlocal said
        wrong = ""
        try:
            tell()
        except XmsecError as error:
            wrong = str(error)
        except Exception as error:  # noqa: BLE001 - the edge: figures must not stop the work, nor end for ever
            wrong = type(error).__name__
        if wrong and wrong != said:
            log.warning("what this worker counted is not told, trying again: %s", wrong)
        said = wrong

    def follow() -> None:
        while not ended.wait(every_s):
            attempt()
        attempt()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(every_s)  # an Elasticsearch that does not answer holds up no end
