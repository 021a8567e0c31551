r"""Access logs that nginx writes as JSON: its variables, under whatever subset of them a deployment logs.

With `escape=json` a line is JSON; with nginx's default escaping (`\xE5`) it is not, and is read as what was meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.numbers import target
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import bad_time, epoch_time, iso_time, log_time
from xmsec.parse.web_request import METHOD, VERSIONS, put_answer, put_referrer, put_request, put_target

_FIELD_BY_VARIABLE = {
    "remote_user": "user.name",
    "user": "user.name",
    "http_user_agent": "user_agent.original",
    "user_agent": "user_agent.original",
    "agent": "user_agent.original",
    "request_time": "event.duration@s",
    "request_length": "http.request.bytes",
    "bytes_sent": "http.response.bytes",
    "request_id": "http.request.id",
    "http_x_forwarded_for": "network.forwarded_ip",
    "x_forwarded_for": "network.forwarded_ip",
    "remote_port": "source.port",
    "server_port": "server.port",
    "server_addr": "server.ip",
    "scheme": "url.scheme",
    "http_host": "url.domain",
    "host": "url.domain",
    "server_name": "url.domain",
    "request_body": "http.request.body.content",
    "request_method": "http.request.method",
    "method": "http.request.method",
}
_METHODS = ("request_method", "method")
_TARGETS = {variable: target(field) for variable, field in _FIELD_BY_VARIABLE.items()}
_CLIENT = ("remote_addr", "client", "client_ip", "clientip", "http_x_real_ip")
_ANSWER = ("status",)
_BYTES = ("body_bytes_sent", "bytes", "size")
_REQUEST = ("request",)
_REFERRER = ("http_referer", "referer", "referrer")
_TARGET = ("request_uri", "uri", "url", "path")
_QUERY = ("args", "query_string")
_TIME = ("time_iso8601", "@timestamp", "timestamp", "time", "time_local", "msec", "ts")
_OWN = frozenset((*_CLIENT, *_ANSWER, *_BYTES, *_REQUEST, *_TARGET, *_QUERY, *_TIME, *_REFERRER, "server_protocol", "protocol"))
_HEX = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_ABSENT = (None, "", "-")


def nginx_json(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `nginx-json`."""
    when = _time(zone)

    def read(text: str, received: datetime) -> Reading:
        document = read_object(_HEX.sub(_meant, text) if "\\x" in text else text)
        client, status = _first(document, _CLIENT), _first(document, _ANSWER)
        if client is None or not (isinstance(client, str) and _names_request(document)):
            raise InputError("no-match")
        time = when(document)
        fields: Fields = {}
        put_client(fields, client)
        if status is not None:
            size = _first(document, _BYTES)
            put_answer(fields, str(status), "-" if size is None else str(size))
        _put_request(fields, document)
        put_referrer(fields, str(_first(document, _REFERRER) or ""))
        fields |= _others(document)
        return Reading(time, fields)

    return read


def _names_request(document: dict[str, Any]) -> bool:
    return any(isinstance(document.get(name), str) for name in (*_REQUEST, *_TARGET))


def _put_request(fields: Fields, document: dict[str, Any]) -> None:
    request, uri = _first(document, _REQUEST), _first(document, _TARGET)
    if isinstance(request, str):
        put_request(fields, request)
    elif isinstance(uri, str):
        query = _first(document, _QUERY)
        put_target(fields, f"{uri}?{query}" if isinstance(query, str) and "?" not in uri else uri)
    version = str(_first(document, ("server_protocol", "protocol")))
    if version in VERSIONS:
        fields.setdefault("http.version", VERSIONS[version])


def _others(document: dict[str, Any]) -> Fields:
    """Map the other variables; what nginx does not name so is kept under `nginx`."""
    fields: Fields = {}
    rest: dict[str, Any] = {}
    for variable, value in document.items():
        if variable in _OWN or value in _ABSENT:
            continue
        found = _TARGETS.get(variable)
        odd = isinstance(value, dict | list) or (variable in _METHODS and not METHOD.fullmatch(str(value)))
        if found is None or odd:
            rest[variable] = value
            continue
        field, convert = found
        converted = convert(value)
        if converted is not None:
            fields.setdefault(field, converted)
    return fields | flatten(rest, "nginx") if rest else fields


def _time(zone: tzinfo) -> Callable[[dict[str, Any]], datetime]:
    local, iso, epoch = log_time(), iso_time(zone), epoch_time(1_000_000)

    def when(document: dict[str, Any]) -> datetime:
        value = _first(document, _TIME)
        if value is None:
            raise InputError("no-time")
        if isinstance(value, int | float):
            return epoch(value)
        if not isinstance(value, str):
            raise bad_time()
        if value.replace(".", "", 1).isdecimal():
            return epoch(value)
        day, _, offset = value.partition(" ")
        return local(day, offset) if "/" in day else iso(value)

    return when


def _first(document: dict[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        value = document.get(name)
        if value not in _ABSENT:
            return value
    return None


def _meant(match: re.Match[str]) -> str:
    r"""Write nginx's own escapes as JSON does: `\x22` is a quote inside the string, `\xE5\xBC\xA0` is one character."""
    text = bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "replace")
    return "".join(f"\\u{ord(character):04x}" if character < " " or character in '"\\' else character for character in text)
