"""What a running deployment serves: health, metrics, records that are sent to it, and the rooms that it is handed.

Listens where it is told, on loopback by default. Health and figures ask for no login; who sends needs a token; the rooms, and
findings and incidents with them, have a guard of their own (`xmsec.console`), which nobody is let in by who has no right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from xmsec.model.errors import ConfigError
from xmsec.runtime.declared import Declared, declared
from xmsec.runtime.intake import Intake
from xmsec.runtime.metrics import CONTENT_TYPE, Metric, counter, exposition
from xmsec.runtime.vitals import Vitals
from xmsec.store.sqlite import connect

ANSWER_S = 5  # how long an end waits for an answer that is being read
EVERYWHERE = "0.0.0.0"
Metrics = Callable[[], Iterable[Metric]]
Problems = Callable[[], Sequence[str]]


def health(metrics: Metrics, problems: Problems) -> list[Route]:
    """Return what watches a process: it lives; it is ready, or what is wrong, a line each; its figures."""

    @declared(Declared())
    def healthy(_: Request) -> Response:
        """Say that the process lives."""
        return PlainTextResponse("ok\n")

    @declared(Declared(problems=(503,)))
    def ready(_: Request) -> Response:
        """Say that the process is ready, or what is wrong."""
        wrong = problems()
        return PlainTextResponse("".join(f"{one}\n" for one in wrong) or "ok\n", 503 if wrong else 200)

    @declared(Declared())
    def figures(_: Request) -> Response:
        """Give the figures as Prometheus reads them."""
        return PlainTextResponse(exposition(metrics()), media_type=CONTENT_TYPE)

    return [Route("/healthz", healthy), Route("/readyz", ready), Route("/metrics", figures)]


def application(
    metrics: Metrics, problems: Problems = tuple, intake: Intake | None = None, rooms: Sequence[BaseRoute] = ()
) -> Starlette:
    """Make the application; intake: takes records, None: nobody may send; rooms: what people and machines see, guarded."""
    intake = intake or Intake.closed()

    def figures() -> list[Metric]:
        meaning = "What network sources saw since the process began."
        return [*metrics(), counter("xmsec_network_total", meaning, ("what", "stream"), dict(intake.counts().items()))]

    routes: list[BaseRoute] = [
        *health(figures, problems),
        *intake.routes(),
        *rooms,
    ]
    return with_problems(routes)


def with_problems(routes: Sequence[BaseRoute]) -> Starlette:
    """Make an application whose refusals are problem documents that quote nothing of what was asked."""
    return Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _broken})


def _refused(_: Request, error: Exception) -> Response:
    return _problem(error.status_code, error.detail) if isinstance(error, HTTPException) else _broken(_, error)


def _broken(_: Request, error: Exception) -> Response:
    return _problem(500, f"internal error ({type(error).__name__})")


def _problem(status: int, detail: str) -> Response:
    """Answer as RFC 9457 says."""
    return JSONResponse({"status": status, "detail": detail}, status, media_type="application/problem+json")


class Serving:
    """Serves an application beside the thread that does the work."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                log_level="critical",  # what a request breaks on is in its answer; a traceback may quote what was asked
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=ANSWER_S,
            )
        )
        self._socket = self._bind(host, port)
        self._thread = Thread(target=self._server.run, args=([self._socket],), daemon=True)
        here = "127.0.0.1" if host == EVERYWHERE else host  # no browser goes to `0.0.0.0`
        self.url = f"http://{here}:{self._socket.getsockname()[1]}"

    def _bind(self, host: str, port: int) -> Any:
        import socket

        try:
            found = socket.create_server((host, port), reuse_port=False)
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer's body waits 40 ms for its head's ACK
            return found
        except OSError as error:
            raise ConfigError(
                f"port is taken or not allowed ({error.strerror})", where=f"{host}:{port}", remedy="choose --port"
            ) from error

    def __enter__(self) -> Serving:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


class Address(msgspec.Struct, frozen=True):
    """Where a service listens; port 0: any that is free."""

    host: str
    port: int


class Service(Serving):
    """Serves a home beside the thread that drives its road."""

    def __init__(
        self, path: Path, at: Address, vitals: Vitals, intake: Intake | None = None, rooms: Sequence[BaseRoute] = ()
    ) -> None:
        self._connection = connection = connect(path)
        metrics: Metrics = partial(vitals.metrics, connection, lambda: datetime.now(UTC))
        super().__init__(application(metrics, vitals.problems, intake, rooms), at.host, at.port)

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self._connection.close()
