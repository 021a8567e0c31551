"""API gateways that log a request and its answer as one JSON object: Apache APISIX and Kong, as they do by default.

APISIX documentation, plugins http-logger, file-logger, kafka-logger; Kong documentation, plugins http-log and file-log.
Of the headers those with a field of their own in ECS are kept: others carry credentials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields
from xmsec.parse.address import put_client
from xmsec.parse.json_read import flatten, read_object
from xmsec.parse.numbers import scalar, target
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import epoch_time
from xmsec.parse.web_request import METHOD, put_answer, put_host, put_referrer, put_target

_FIELD_BY_HEADER = {
    "user-agent": "user_agent.original",
    "x-forwarded-for": "network.forwarded_ip",
    "x-request-id": "http.request.id",
}
_COMMON = {
    "request.size": "http.request.bytes",
    "request.body": "http.request.body.content",
    "response.size": "http.response.bytes",
    "response.body": "http.response.body.content",
    "consumer.username": "user.name",
    "consumer.custom_id": "user.id",
}
_APISIX = _COMMON | {
    "latency": "event.duration@ms",
    "route_id": "apisix.route.id",
    "route_name": "apisix.route.name",
    "service_id": "apisix.service.id",
    "service_name": "apisix.service.name",
    "upstream": "apisix.upstream.address",
    "upstream_latency": "apisix.upstream.latency",
    "apisix_latency": "apisix.latency",
    "server.hostname": "observer.hostname",
    "server.version": "observer.version",
}
_KONG = _COMMON | {
    "request.id": "http.request.id",
    "latencies.request": "event.duration@ms",
    "latencies.proxy": "kong.latency.proxy",
    "latencies.kong": "kong.latency.kong",
    "request.tls.version": "tls.version",
    "request.tls.cipher": "tls.cipher",
    "route.id": "kong.route.id",
    "route.name": "kong.route.name",
    "service.id": "kong.service.id",
    "service.name": "kong.service.name",
    "service.host": "kong.service.host",
    "workspace_name": "kong.workspace.name",
    "upstream_uri": "kong.upstream.uri",
    "upstream_status": "kong.upstream.status",
    "authenticated_entity.id": "kong.authenticated_entity.id",
    "consumer.id": "kong.consumer.id",
}


def apisix(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `apisix`."""
    return _gateway("start_time", _APISIX)


def kong(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `kong`."""
    return _gateway("started_at", _KONG)


def _gateway(time_key: str, names: Mapping[str, str]) -> Format:
    when = epoch_time(1_000)
    plan = [(tuple(path.split(".")), *target(field)) for path, field in names.items()]

    def read(text: str, received: datetime) -> Reading:
        record = read_object(text)
        request, response, stamp = record.get("request"), record.get("response"), record.get(time_key)
        if not isinstance(request, dict) or not isinstance(response, dict) or not isinstance(stamp, int | float):
            raise InputError("no-match")
        fields: Fields = {}
        client = record.get("client_ip")
        if isinstance(client, str) and client:
            put_client(fields, client)
        if "status" in response:
            put_answer(fields, str(response["status"]), "-")
        _put_request(fields, request)
        for steps, field, convert in plan:
            value = _at(record, steps)
            if isinstance(value, dict | list):
                fields |= flatten({field: value})
            elif value not in (None, "", "-"):
                converted = convert(value)
                if converted is not None:
                    fields.setdefault(field, converted)
        return Reading(when(stamp), fields)

    return read


def _put_request(fields: Fields, request: Mapping[str, Any]) -> None:
    method, uri, url = request.get("method"), request.get("uri"), request.get("url")
    if isinstance(method, str) and METHOD.fullmatch(method):
        fields["http.request.method"] = method
    where = uri if isinstance(uri, str) and uri else url
    if isinstance(where, str) and where:
        put_target(fields, where)
    headers = request.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        said = value[0] if isinstance(value, list) and value else value
        if not isinstance(said, str) or not said:
            continue
        if name.lower() == "referer":
            put_referrer(fields, said)
        elif name.lower() == "host":
            put_host(fields, said)
        elif name.lower() in _FIELD_BY_HEADER:
            field = _FIELD_BY_HEADER[name.lower()]
            fields.setdefault(field, scalar(field, said))


def _at(record: Any, steps: Sequence[Any]) -> Any:
    for step in steps:
        record = record.get(step) if isinstance(record, dict) else None
    return record
