"""`POST /api/events/{stream}`: records are taken in, and what was answered with 202 is safe on disk.

Also what Elasticsearch's output of Filebeat and Logstash asks for below the same path: `_bulk`, and who is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, InputError, ServiceError
from xmsec.runtime.declared import INGEST, Accepted, Declared, declared
from xmsec.runtime.tokens import Tokens
from xmsec.sources.body import BODY_BYTES, ID_FIELD, PACKED, RECORDS, Found, bulk_records, json_records, text_records, unpacked
from xmsec.sources.inlet import Handed, Inlet, no_room
from xmsec.sources.seen import mark
from xmsec.sources.spool import Entry

BODY_S = 60  # how long a body may take to come in
RETRY_S = 1
HELD_BYTES = 64 << 20  # of bodies that are coming in
HANDS = 4  # bodies that are unpacked and taken apart at once
JSON = frozenset(
    {"", "application/x-ndjson", "application/ndjson", "application/json", "application/jsonl", "application/x-jsonlines"}
)
ID_BYTES = 512
LEFT_BYTES, LEFT_S = 64 << 20, 10  # of the rest of a body whose request is refused
_ENDED = "xmsec.ended"
_PROBLEMS = (400, 401, 403, 404, 408, 413, 415, 429, 503)
CLIENT_VERSION = "9.99.0"  # of Elasticsearch, as which bulk lines are taken: Beats refuse one older than themselves

Now = Callable[[], datetime]


class RequestError(Exception):
    """A request that gets another answer."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        self.status, self.detail = status, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(detail)

    def answer(self) -> Response:
        """Answer as RFC 9457 says."""
        body = {"status": self.status, "detail": self.detail}
        return JSONResponse(body, self.status, self.headers, media_type="application/problem+json")


class Intake:
    """Takes requests. streams: who there is; key: of marks by which a repetition is known."""

    def __init__(self, inlet: Inlet | None, tokens: Tokens, streams: Mapping[str, Any], key: bytes, now: Now) -> None:
        self._inlet, self._tokens, self._streams, self._key, self._now = inlet, tokens, streams, key, now
        self._held_bytes = 0
        self._hands = asyncio.Semaphore(HANDS)

    @classmethod
    def closed(cls) -> Intake:
        """Make one that takes nothing from anybody."""
        return cls(None, Tokens(None), {}, b"", lambda: EPOCH)

    def routes(self) -> list[Route]:
        """Return the routes by which records come in; the last ones are what a client of Elasticsearch asks for first."""
        path = "/api/events/{stream}"
        there = [Route(f"{path}{end}", self.there, methods=["GET"]) for end in ("", "/", "/_license")]
        noting = [Middleware(Noting)]
        return [
            Route(path, self.post, methods=["POST"], middleware=noting),
            Route(f"{path}/_bulk", self.bulk, methods=["POST"], middleware=noting),
            *there,
        ]

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return what was counted at all network sources."""
        return {} if self._inlet is None else self._inlet.counts()

    @declared(Declared(INGEST, sorted(JSON - {""} | {"text/plain"}), Accepted, 202, _PROBLEMS))
    async def post(self, request: Request) -> Response:
        """Answer 202 with how many records were accepted, and how many of them are no JSON object and so dead letters."""
        stream = request.path_params["stream"]
        try:
            self._admit(request, stream)
            read = json_records if _is_json(request) else partial(text_records, framing=self._streams[stream].lines)
            added, found = await self._take(request, stream, read)
        except RequestError as refused:
            return await told(request, refused)
        rejected = min(len(found.refused), added)
        return JSONResponse({"accepted": added - rejected, "rejected": rejected, "duplicate": len(found.lines) - added}, 202)

    @declared(Declared(INGEST, ("application/json", "application/x-ndjson"), dict[str, Any], 200, _PROBLEMS))
    async def bulk(self, request: Request) -> Response:
        """Answer as Elasticsearch does: 200, and for each document that it was created."""
        stream = request.path_params["stream"]
        actions: list[str] = []

        def records(body: bytes) -> Found:
            found, said = bulk_records(body)
            actions.extend(said)
            return found

        try:
            self._admit(request, stream)
            await self._take(request, stream, records)
        except RequestError as refused:
            return await told(request, refused)
        items = [{action: {"_index": stream, "status": 201}} for action in actions]
        return _elastic({"took": 0, "errors": False, "items": items})

    @declared(Declared(INGEST, (), dict[str, Any], 200, (401, 403, 404, 503)))
    async def there(self, request: Request) -> Response:
        """Answer a client of Elasticsearch that asks who is there before it sends."""
        try:
            self._admit(request, request.path_params["stream"])
        except RequestError as refused:
            return refused.answer()
        if request.url.path.endswith("/_license"):
            return _elastic({"license": {"status": "active", "uid": "-", "type": "basic"}})
        version = {"number": CLIENT_VERSION, "build_flavor": "default"}
        return _elastic({"name": "xmsec", "cluster_name": "xmsec", "version": version, "tagline": "You Know, for Search"})

    def _admit(self, request: Request, stream: str) -> None:
        try:
            sender = self._tokens.sender(request.headers.get("authorization", ""))
        except ConfigError as error:
            raise RequestError(503, error.what, Retry_After=str(RETRY_S)) from error
        if sender is None:
            raise RequestError(401, "no token that may send", WWW_Authenticate="Bearer")
        if not sender.may(stream):
            raise RequestError(403, "this token may not send this stream")
        if stream not in self._streams:
            raise RequestError(404, "no such stream")

    async def _take(self, request: Request, stream: str, records: Callable[[bytes], Found]) -> tuple[int, Found]:
        encoding = request.headers.get("content-encoding", "").strip().lower()
        if encoding not in {"", "identity", *PACKED}:
            raise RequestError(415, "content-encoding is none of gzip, deflate", Accept_Encoding="gzip, deflate")
        inlet = self._inlet
        if inlet is None or inlet.full or self._held_bytes >= HELD_BYTES:
            raise _busy()
        body = await self._body(request)
        try:
            async with self._hands:
                found = await asyncio.to_thread(lambda: records(unpacked(body, encoding)))
            if not found.lines:
                return 0, found
            return await asyncio.wrap_future(inlet.put(self._handed(request, stream, found))), found
        except InputError as error:
            raise RequestError(413 if error.what == "body-too-large" else 400, _DETAILS[error.what]) from error
        except ServiceError as error:
            inlet.count("waited", stream)
            raise _busy() from error

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    self._held_bytes += len(chunk)
                    body += chunk
                    if len(body) > BODY_BYTES:
                        raise RequestError(413, f"the body is over {BODY_BYTES} bytes")
                    if self._held_bytes > HELD_BYTES:
                        raise _busy()
        except TimeoutError as error:
            raise RequestError(408, f"the body did not come within {BODY_S} s") from error
        except ClientDisconnect as error:
            raise RequestError(400, "the body broke off") from error
        finally:
            self._held_bytes -= len(body)
        return bytes(body)

    def _handed(self, request: Request, stream: str, found: Found) -> Handed:
        given = request.headers.get("idempotency-key") or request.headers.get(ID_FIELD)
        if given is not None and len(given) > ID_BYTES:
            raise RequestError(400, f"an id is over {ID_BYTES} characters")
        entry = Entry(stream, self._now(), found.lines, found.ids, found.cut)
        by_place = {place: mark(self._key, stream, "record", own) for place, own in enumerate(found.ids) if own is not None}
        return Handed(entry, None if given is None else mark(self._key, stream, "request", given), by_place)


_DETAILS = {
    "body-too-large": f"the body is over {BODY_BYTES} bytes when it is unpacked, or {RECORDS} records",
    "damaged-body": "the body cannot be read: damaged, or not what its headers say",
    "bulk-action": "only index and create are taken",
}


def _busy() -> RequestError:
    return RequestError(429, no_room().what, Retry_After=str(RETRY_S))


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in JSON or kind.endswith("+json"):
        return True
    if kind.startswith("text/"):
        return False
    raise RequestError(415, "content-type is none of application/x-ndjson, application/json, text/plain")


def _elastic(body: Any) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json", headers={"X-Elastic-Product": "Elasticsearch"})


async def told(request: Request, refused: RequestError) -> Response:
    """Answer when what is still being sent was read: a sender that is cut off would never see the answer."""
    left = LEFT_BYTES
    try:
        async with asyncio.timeout(LEFT_S):
            while left > 0 and not request.scope.get(_ENDED):
                left -= len((await request.receive()).get("body", b""))
    except TimeoutError:
        pass
    return refused.answer()


class Noting:
    """An application around another that notes in the scope when a request's body has ended."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request."""

        async def noted() -> Message:
            message = await receive()
            if not message.get("more_body"):
                scope[_ENDED] = True
            return message

        await self._inner(scope, noted, send)
