"""How a worker ends: with every thread that it began, and in bounded time.

Faust runs each consumer in a thread. Two things made a worker that was told to stop wait for such a thread for ever:

- It stops what has started. A thread that had begun and not started when the signal came was left to run.
- A rebalance is settled by both: the thread waits for the app, and the app for an offset from the thread. A thread that was
  stopped in between answers no more, and does not end before it is answered.

While Kafka is away there is more that waits for it. So a worker that has not ended in END_S after the signal ends at once, as
one that was killed: nothing is acknowledged before it is durable, and what was not is read again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from signal import Signals
from threading import Event, Thread
from time import monotonic
from typing import Any, cast

import faust

from xmsec.runtime.faust.post import log

ENDING_S = 5.0  # what is in hand was finished and committed before: a thread takes less than a second to leave its group
LOOK_S = 0.2
END_S = 20.0
INTERRUPTED = 4  # the exit code of a command that was interrupted, its state saved


class Worker(faust.Worker):
    """Faust's worker, which ends."""

    def _schedule_shutdown(self, signal: Signals) -> None:
        Thread(target=_end_at_last, daemon=True).start()
        super()._schedule_shutdown(signal)

    async def stop(self) -> None:
        """Stop everything."""
        Thread(target=self._give_up_what_hangs, daemon=True).start()
        await super().stop()

    def _shutdown_loop(self) -> None:
        self.loop.run_until_complete(self._end_those_that_began_late())
        super()._shutdown_loop()

    def _threads(self) -> Iterator[Any]:
        for app in (self.app, *self.services):
            consumer = cast(Any, app)._consumer  # the property would make one
            thread = getattr(consumer, "_thread", None)
            if thread is not None and thread._thread is not None and thread._thread.is_alive():
                yield thread

    async def _end_those_that_began_late(self) -> None:
        while threads := list(self._threads()):
            for thread in threads:
                await thread.stop()  # does nothing before it has started
            await asyncio.sleep(LOOK_S)

    def _give_up_what_hangs(self) -> None:
        """Cancel what stopped threads still await; Faust's loop may itself be waiting for them, so that this is a thread."""
        since: dict[int, float] = {}
        while not Event().wait(LOOK_S):
            for thread in self._threads():
                if thread.should_stop and monotonic() - since.setdefault(id(thread), monotonic()) > ENDING_S:
                    log.warning("a consumer did not end in %.0f s; it leaves its group without a word", ENDING_S)
                    since[id(thread)] = monotonic()
                    _give_up(thread)


def _end_at_last() -> None:
    Event().wait(END_S)
    log.warning("did not end in %.0f s (is Kafka away?); ends at once, what was not committed is read again", END_S)
    logging.shutdown()
    os._exit(INTERRUPTED)


def _give_up(thread: Any) -> None:
    loop = thread.thread_loop

    def cancel() -> None:
        for task in asyncio.all_tasks(loop):
            task.cancel()

    try:
        loop.call_soon_threadsafe(cancel)
        thread.set_shutdown()
    except RuntimeError:  # it ended meanwhile
        return
