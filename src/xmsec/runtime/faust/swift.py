"""Messages come at once: a consumer asks for more soon, and hands over by a call.

A message is handed to its stream by a call, where Faust makes four tasks for each and waits for the first of them.

Faust wants to stop handing over when a rebalance begins. What can be handed over at once needs no waiting for that; what has to
wait (a full queue, a pause) goes Faust's own way from where it stands. A third of what a message costs.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import CoroutineType, coroutine
from typing import Any

FETCH_WAIT_MS = 250
HANDING_OVER = "on_message"  # the conductor's coroutine; whatever else a consumer waits for is none of ours


def swift(consumer: Any) -> None:
    """Let a consumer hand over by a call."""
    if "wait_first" in vars(consumer):
        return
    wait_first = consumer.wait_first

    async def first(*waits: Any, timeout: Any = None) -> Any:
        handing = waits[0]
        if not isinstance(handing, CoroutineType) or handing.cr_code.co_name != HANDING_OVER or consumer.suspend_flow.is_set():
            return await wait_first(*waits, timeout=timeout)
        try:
            waited_for = handing.send(None)
        except StopIteration:
            for wait in waits[1:]:
                wait.close()
            return None
        return await wait_first(_rest(handing, waited_for), *waits[1:], timeout=timeout)

    consumer.wait_first = first


def prompt(consumer: Any) -> None:
    """Let a consumer's request for more wait at the broker for a short time only, not for Faust's 1.5 s.

    While it waits there is no other, and it does not ask for partitions whose messages were still in hand when it was sent:
    what comes for them meanwhile waits with it.
    """
    connected = consumer._thread._consumer
    if connected is not None:
        connected._fetcher._fetch_max_wait_ms = FETCH_WAIT_MS


async def _rest(begun: Coroutine[Any, Any, Any], waited_for: Any) -> Any:
    return await _from_there(begun, waited_for)


@coroutine
def _from_there(begun: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that waits for something already."""
    try:
        while True:
            try:
                value = yield waited_for
            except BaseException as error:  # noqa: BLE001 - handed on to whom it is meant for
                waited_for = begun.throw(error)
            else:
                waited_for = begun.send(value)
    except StopIteration as done:
        return done.value
