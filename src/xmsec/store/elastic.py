"""Findings and incidents in Elasticsearch, for people to look at: written by id, so that writing twice changes nothing.

A write is a partial update of the engine's part of a record; what people set beside it (`status`, `assignee`, `incident`)
stays. A finding lies in the index of the month in which its window starts, which its id fixes. An incident's `opened` may still
move to an earlier month, and there are few of them, so that they share one index. The last write counts: one writer an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Any

from xmsec.detect.score import rank
from xmsec.model.errors import ConfigError, ServiceError
from xmsec.model.types import Finding, Incident, Severity
from xmsec.store.rows import finding_row, incident_row

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

PREFIX = "xmsec"
BULK_DOCUMENTS = 1_000  # of 1 to 5 KiB: far below the server's 100 MB a request, and 2,000 are not much faster
CONFLICTS = 5  # tries of an update that meets another one on the same document

_PEOPLE = ("status", "assignee", "incident", "related")  # what people set, and what is worked out when it is read
_DATE = {"type": "date"}
_WORD = {"type": "keyword", "ignore_above": 1024}
_NUMBER = {"type": "long"}
_KEPT = {"type": "object", "enabled": False}  # shown, not searched: an event may hold any field, and mappings must not grow
_ENTITY = {"properties": {"type": _WORD, "id": _WORD}}
_FINDING = {
    **dict.fromkeys(("time", "first_seen"), _DATE),
    **dict.fromkeys(("id", "detector", "version", "kind", "title", "severity", "system", "stream", "stage", "grade"), _WORD),
    **dict.fromkeys(("labels", "state", "events", "controls", "playbooks", "incident", "status", "assignee"), _WORD),
    **dict.fromkeys(("severity_rank", "risk", "count"), _NUMBER),
    "entity": _ENTITY,
    "window": {"properties": {"start": _DATE, "end": _DATE}},
    "evidence": _KEPT,
    "explanation": _KEPT,
}
_INCIDENT = {
    **dict.fromkeys(("opened", "due"), _DATE),
    **dict.fromkeys(("id", "state", "severity", "findings", "detectors", "systems", "status", "assignee"), _WORD),
    **dict.fromkeys(("severity_rank", "risk"), _NUMBER),
    "entity": _ENTITY,
    "levels": _KEPT,
}
_MAPPINGS: Mapping[str, Mapping[str, Any]] = {"findings": _FINDING, "incidents": _INCIDENT}
_SETTINGS = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}  # a month of findings is far below a shard's 50 GB


def ensure(client: Elasticsearch, key_check: str = "", prefix: str = PREFIX) -> None:
    """Create templates, first indices and aliases; safe to repeat. Raises ConfigError for another key than the tokens'."""
    for table, properties in _MAPPINGS.items():
        alias = f"{prefix}-{table}"
        client.indices.put_index_template(
            name=alias,
            index_patterns=[f"{alias}-*"],
            priority=500,
            template={
                "settings": _SETTINGS,
                "aliases": {alias: {}},
                "mappings": {"dynamic": False, "properties": properties},
            },
        )
        if not client.indices.exists(index=f"{alias}-0"):  # so that the alias answers before the first record
            client.options(ignore_status=400).indices.create(index=f"{alias}-0")
    if key_check:
        _claim(client, f"{prefix}-deployment", key_check)


def _claim(client: Elasticsearch, index: str, key_check: str) -> None:
    client.options(ignore_status=409).create(index=index, id="key", document={"check": key_check}, refresh=True)
    check_key(client, key_check, index)


def check_key(client: Elasticsearch, key_check: str, index: str = f"{PREFIX}-deployment") -> None:
    """Refuse another key than that of the tokens which are there. Raises ConfigError, also when no key was claimed yet."""
    found = client.options(ignore_status=404).get(index=index, id="key")
    present = found.get("_source", {}).get("check")
    if present is None:
        raise ConfigError("no index yet", where=index, remedy="run `xmsec index ensure`")
    if present != key_check:
        raise ConfigError(
            f"made with another key (check value {present}, this key's is {key_check})",
            where=index,
            remedy="use its key file, or another Elasticsearch",
        )


def operations(findings: Iterable[Finding], incidents: Iterable[Incident], prefix: str = PREFIX) -> list[Mapping[str, Any]]:
    """Write the lines of a bulk request, two a document."""
    lines: list[Mapping[str, Any]] = []
    for finding in findings:
        month = finding.window.start.astimezone(UTC).strftime("%Y.%m")
        lines += _update(f"{prefix}-findings-{month}", finding.severity, finding_row(finding))
    for incident in incidents:
        lines += _update(f"{prefix}-incidents-0", incident.severity, incident_row(incident))
    return lines


def _update(index: str, severity: Severity, row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    body = {name: value for name, value in row.items() if name not in _PEOPLE}
    body["severity_rank"] = rank(severity)
    action = {"update": {"_index": index, "_id": row["id"], "retry_on_conflict": CONFLICTS}}
    return [action, {"doc": body, "doc_as_upsert": True}]


def index(
    client: Elasticsearch,
    findings: Sequence[Finding] = (),
    incidents: Sequence[Incident] = (),
    *,
    prefix: str = PREFIX,
    refresh: bool = False,
) -> int:
    """Write findings and incidents by their ids; return how many changed anything. Raises ServiceError."""
    from elasticsearch import ApiError, TransportError

    lines = iter(operations(findings, incidents, prefix))
    changed = 0
    while chunk := list(islice(lines, 2 * BULK_DOCUMENTS)):
        try:
            answer = client.bulk(operations=chunk, refresh=refresh)
        except (ApiError, TransportError) as error:
            raise ServiceError(f"Elasticsearch does not take findings: {type(error).__name__}", remedy="see its log") from error
        changed += count_changed(answer.body)
    return changed


def count_changed(answer: Mapping[str, Any]) -> int:
    """Return how many documents a bulk request changed. Raises ServiceError when one was refused; names no content."""
    results = [item["update"] for item in answer["items"]]
    refused = [result for result in results if result["status"] >= 400]
    if refused:
        reasons = sorted({f"{result['status']} {result['error']['type']}" for result in refused})
        busy = all(result["status"] in (409, 429, 503) for result in refused)
        raise ServiceError(
            f"Elasticsearch refused {len(refused)} documents: {', '.join(reasons)}",
            where=refused[0]["_index"],
            remedy="try again" if busy else "see its log",
            retry=busy,
        )
    return sum(result["result"] != "noop" for result in results)
