"""Processes of their own for what is measured, which say of themselves how far they are and what they used."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Event, Thread
from typing import Any

import msgspec

from xmsec.bench.clock import Taken
from xmsec.bench.memory import rss_bytes
from xmsec.model.errors import ServiceError

SAY_S = 0.05
END_S = 60.0
WARM = 0.2  # of the events; before, a new consumer group asks for each partition's first offset


class Moment(msgspec.Struct, frozen=True):
    """A point in time: of the wall clock, and how many seconds of processor the process had used."""

    at_s: float
    used_s: float

    @classmethod
    def now(cls) -> Moment:
        """Look at both."""
        return cls(time.time(), time.process_time())


class Said(msgspec.Struct, frozen=True):
    """What a process says of itself.

    begun, skipped: when it was warm, and how many events it had done by then; ended: when it had done all that was expected.
    """

    now: Moment
    done: int
    rss_bytes: int
    begun: Moment | None
    skipped: int
    ended: Moment | None
    ready: bool


class Gauge:
    """How far a process is; read by the thread that says it."""

    def __init__(self, expected: int) -> None:
        self.done, self._expected, self._skipped = 0, expected, 0
        self._begun: Moment | None = None
        self._ended: Moment | None = None
        self.ready: Callable[[], bool] = lambda: self.done > 0

    def count(self, events: int) -> None:
        """Note that so many more are done."""
        self.done += events
        if self._begun is None and self.done >= self._expected * WARM:
            self._skipped, self._begun = self.done, Moment.now()
        if self._ended is None and self.done >= self._expected:
            self._ended = Moment.now()

    def said(self) -> Said:
        """Return everything."""
        return Said(Moment.now(), self.done, rss_bytes(), self._begun, self._skipped, self._ended, self.ready())


def _run(work: Callable[..., None], line: Connection, expected: int, given: tuple[Any, ...]) -> None:
    gauge = Gauge(expected)

    def say() -> None:
        with suppress(OSError):  # the other end has gone
            while not Event().wait(SAY_S):
                line.send_bytes(msgspec.msgpack.encode(gauge.said()))

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the bench ends it
    Thread(target=say, daemon=True).start()
    work(gauge, *given)


class Process:
    """A process that is measured. work: what it does, given its gauge; it runs until it is told to end."""

    def __init__(self, work: Callable[..., None], expected: int, *given: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._line, end = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, end, expected, given), daemon=True)
        self._started_s = time.time()
        self._process.start()
        end.close()
        self.last: Said | None = None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        self._line.close()

    def until(self, holds: Callable[[Said], bool], patience_s: float) -> Said:
        """Wait until what it says is enough. Raises ServiceError when it ends before that, or does nothing for so long."""
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < patience_s:
            try:
                if not self._line.poll(1.0):
                    continue
                before, self.last = self.last, msgspec.msgpack.decode(self._line.recv_bytes(), type=Said)
            except EOFError:
                raise ServiceError(
                    "a measured process ended by itself", where="bench kafka", remedy="see what it said"
                ) from None
            if before is not None and self.last.done > before.done:
                begun_s = time.monotonic()
            if holds(self.last):
                return self.last
        far = 0 if self.last is None else self.last.done
        raise ServiceError(
            f"nothing was done for {patience_s:.0f} s ({far} events were before)", where="bench kafka", remedy="see its log"
        )

    def taken(self, patience_s: float) -> tuple[Taken, int]:
        """Wait until all that was expected is done; return what it took since it was warm, and for how many events."""
        said = self.until(lambda one: one.ended is not None, patience_s)
        assert said.begun is not None
        assert said.ended is not None
        return Taken(said.ended.used_s - said.begun.used_s, said.ended.at_s - said.begun.at_s), said.done - said.skipped

    @property
    def started_s(self) -> float:
        """When it was started, by the wall clock."""
        return self._started_s

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()

    def end(self) -> float:
        """Tell it to end; return how many seconds it took. Raises ServiceError when it hangs."""
        begun_s = time.monotonic()
        self._process.terminate()
        while self._process.is_alive() and time.monotonic() - begun_s < END_S:
            with suppress(EOFError, OSError):
                while self._line.poll():
                    self._line.recv_bytes()  # a full pipe must not hold it up
            self._process.join(0.05)
        if self._process.is_alive():
            self.kill()
            raise ServiceError(f"a worker hung: it did not end in {END_S:.0f} s", where="bench kafka", remedy="report it")
        return time.monotonic() - begun_s
