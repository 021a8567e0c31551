"""The description of the API (OpenAPI 3.1), made of what the routes that are served say of themselves: none is left out."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Route

from xmsec.console.ask import View
from xmsec.console.guard import COOKIE, JSON
from xmsec.console.once import KEY_CHARACTERS
from xmsec.console.records import Problem
from xmsec.runtime.declared import INGEST, Declared

_PROBLEMS: Mapping[int, str] = {
    304: "not changed since the tag of If-None-Match",
    400: "not asked rightly",
    401: "nobody is signed in, or no such token",
    403: "the role does not allow it",
    404: "no such record, or none within the role's systems",
    408: "the body did not come in time",
    409: "the records do not allow it as they are, or another process goes on with the run",
    412: "changed since the tag of If-Match",
    413: "too large",
    415: "a content type that is not taken",
    421: "a host name that is not answered",
    422: "the Idempotency-Key belongs to another request",
    429: "too many requests: wait Retry-After seconds",
    503: "the store is away",
}
_FORM = "application/x-www-form-urlencoded"
_SCHEMES = {
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "A change carries x-csrf-token, too."},
    "token": {"type": "http", "scheme": "bearer", "description": "xmsec user token NAME --role ROLE"},
    "sender": {"type": "http", "scheme": "bearer", "description": "A token of XMSEC_INGEST_TOKENS."},
}


class _Operation(msgspec.Struct, frozen=True):
    """A route with one method."""

    path: str
    method: str
    declared: View | Declared
    summary: str
    name: str


def document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """Describe routes. Raises ValueError for one that says nothing of itself."""
    operations = [_operation(route) for route in routes if isinstance(route, Route)]
    types = {kind: None for one in operations for kind in _types(one.declared)}
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    written = dict(zip(types, schemas, strict=False))  # the last schema is that of Problem
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = _described(one, written)
    return {
        "openapi": "3.1.0",
        "info": {"title": "xmsec", "version": "1", "description": "Every route: the API, and the console's pages."},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route) -> _Operation:
    endpoint = route.endpoint
    declared = getattr(endpoint, "view", None) or getattr(endpoint, "declared", None)
    if declared is None:
        raise ValueError(f"{route.path} says nothing of itself")
    spoken = declared.run if isinstance(declared, View) else endpoint
    summary = (inspect.getdoc(spoken) or "").partition("\n")[0]
    method = min({*(route.methods or ())} - {"HEAD"}).lower()
    name = re.sub(r"\W+", "-", f"{method}{route.path}").strip("-")
    return _Operation(route.path, method, declared, summary, f"{name}-" if route.path.endswith("/") else name)


def _types(declared: View | Declared) -> Iterator[Any]:
    if not isinstance(declared.gives, str):
        yield declared.gives
    if isinstance(declared, View):
        yield from (field.type for field in _fields(declared))
        if declared.takes is not None:
            yield declared.takes


def _fields(view: View) -> Iterable[msgspec.structs.FieldInfo]:
    return () if view.asks is None else msgspec.structs.fields(view.asks)


def _described(one: _Operation, written: Mapping[Any, Any]) -> dict[str, Any]:
    declared = one.declared
    found: dict[str, Any] = {"operationId": one.name, "summary": one.summary, "x-permission": declared.permission}
    schemes = ("sender",) if declared.permission == INGEST else ("session", "token")
    found["security"] = [] if declared.permission == "anyone" else [{scheme: []} for scheme in schemes]
    names = re.findall(r"\{(\w+)\}", one.path)
    asked = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    if isinstance(declared, View):
        asked += [_parameter(field, written) for field in _fields(declared)] + _headers(one)
    if asked:
        found["parameters"] = asked
    if body := _body(one, written):
        found["requestBody"] = {"required": isinstance(declared, View) and declared.takes is not None, "content": body}
    found["responses"] = _answers(one, written)
    return found


def _parameter(field: msgspec.structs.FieldInfo, written: Mapping[Any, Any]) -> dict[str, Any]:
    several = {"style": "form", "explode": True} if field.default == () else {}
    return {"name": field.encode_name, "in": "query", "required": False, "schema": written[field.type], **several}


def _headers(one: _Operation) -> list[dict[str, Any]]:
    view = one.declared
    names = []
    if isinstance(view, View) and one.method == "get" and not isinstance(view.gives, str):
        names.append("If-None-Match")
    if isinstance(view, View) and view.takes is not None:
        names += ["Idempotency-Key", *(["If-Match"] if view.matches else [])]
    most = {"Idempotency-Key": {"maxLength": KEY_CHARACTERS}}
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string", **most.get(name, {})}} for name in names
    ]


def _body(one: _Operation, written: Mapping[Any, Any]) -> dict[str, Any]:
    declared = one.declared
    if isinstance(declared, Declared):
        return {kind: {} for kind in declared.takes}
    if declared.takes is not None:
        return {kind: {"schema": written[declared.takes]} for kind in JSON}
    return {} if one.method == "get" else {_FORM: {"schema": {"type": "object"}}}


def _answers(one: _Operation, written: Mapping[Any, Any]) -> dict[str, Any]:
    declared = one.declared
    gives = declared.gives
    content = {gives: {}} if isinstance(gives, str) else {"application/json": {"schema": written[gives]}}
    answers: dict[str, Any] = {str(declared.status): {"description": "as asked", "content": content}}
    if isinstance(declared, Declared):
        return answers | {str(code): _problem(code, gives == "text/plain") for code in declared.problems}
    if one.path.startswith("/api/"):
        return answers | {str(code): _problem(code) for code in _codes(one, declared)}
    return answers | {"default": {"description": "sent on, or a page that says what is wrong", "content": {"text/html": {}}}}


def _codes(one: _Operation, view: View) -> Iterator[int]:
    yield from (400, 401, 403, 421, 429, 503)
    if "{" in one.path:
        yield 404
    if one.method == "get" and not isinstance(view.gives, str):
        yield 304
    if view.takes is not None:
        yield from (413, 415, 422, *((412,) if view.matches else ()), *((409,) if view.conflicts else ()))


def _problem(code: int, plain: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": _PROBLEMS[code]}
    if plain:
        answer["content"] = {"text/plain": {}}
    elif code != 304:
        answer["content"] = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if code == 429:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return answer
