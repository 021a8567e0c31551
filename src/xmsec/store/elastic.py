"""Findings and incidents in Elasticsearch, for people to look at: written by id, so that writing twice changes nothing.

A write is a partial update of the engine's part of a record; what people set beside it (`status`, `assignee`,
`incident`) stays. The last write counts: one writer an id. What a busy server refuses is asked for again, in smaller pieces
and after growing pauses; a document that does not fit the mapping is handed back and stops nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xmsec.detect.score import rank
from xmsec.model.errors import ServiceError
from xmsec.model.types import Finding, Incident, Severity
from xmsec.store.elastic_error import address, told
from xmsec.store.elastic_schema import PREFIX, finding_index, incident_index
from xmsec.store.elastic_shape import placed, shape
from xmsec.store.rows import finding_row, incident_row

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

BULK_DOCUMENTS = 1_000  # 2,000 are not much faster
BULK_BYTES = 4 << 20  # a small node refuses requests beyond a tenth of its heap
CONFLICTS = 5  # tries of an update that meets another one on the same document
PAUSES_S = (0.1, 0.4, 1.6)  # while nothing gets through; then the caller decides, who may have been told to stop

_PEOPLE = ("status", "assignee", "incident", "related")  # what people set, and what is worked out when it is read
_UNFIT = frozenset(
    (
        "document_parsing_exception",
        "mapper_parsing_exception",
        "strict_dynamic_mapping_exception",
        "illegal_argument_exception",
    )
)


class Document(msgspec.Struct, frozen=True):
    """One record's part of a bulk request."""

    id: str
    action: bytes
    body: bytes


class Written(msgspec.Struct, frozen=True):
    """What became of a write: how many documents it changed, and why which ids were refused for good."""

    changed: int
    refused: Mapping[str, str]


class Answer(msgspec.Struct, frozen=True):
    """What became of one bulk request. busy: what may be taken later, and why not; roots: incidents that people shaped."""

    changed: int = 0
    refused: Mapping[str, str] = {}
    busy: Sequence[Document] = ()
    why: str = ""
    roots: frozenset[str] = frozenset()


def documents(findings: Iterable[Finding], incidents: Iterable[Incident], prefix: str = PREFIX) -> Iterator[Document]:
    """Write the engine's part of each record."""
    for finding in findings:
        yield _update(finding_index(finding, prefix), finding.severity, finding_row(finding))
    for incident in incidents:
        row = incident_row(incident)
        yield _update(incident_index(prefix), incident.severity, {**row, "own": row["findings"]}, {"_source": ["root"]})


def _update(index: str, severity: Severity, row: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> Document:
    body = {name: value for name, value in row.items() if name not in _PEOPLE}
    body["severity_rank"] = rank(severity)
    action = {"update": {"_index": index, "_id": row["id"], "retry_on_conflict": CONFLICTS}}
    return Document(
        row["id"], msgspec.json.encode(action), msgspec.json.encode({"doc": body, "doc_as_upsert": True, **(asked or {})})
    )


def index(
    client: Elasticsearch,
    findings: Sequence[Finding] = (),
    incidents: Sequence[Incident] = (),
    *,
    prefix: str = PREFIX,
    refresh: bool = False,
    wait: Callable[[float], object] = time.sleep,
) -> Written:
    """Write findings and incidents by their ids.

    Holds one request's documents at a time. Raises ServiceError when Elasticsearch is away, busy for longer than the pauses, or
    lets nobody in: all of that is waited for, and the whole call may be repeated.
    """
    changed = 0
    refused: dict[str, str] = {}
    roots: set[str] = set()
    for chunk in _chunks(documents(findings, incidents, prefix)):
        waiting, tries = deque([chunk]), 0
        while waiting:
            part = waiting.popleft()
            answer = _send(client, part, refresh)
            changed += answer.changed
            refused.update(answer.refused)
            roots |= answer.roots
            if not answer.busy:
                continue
            tries = tries if len(answer.busy) == len(part) else 0
            if tries == len(PAUSES_S):
                raise ServiceError(f"Elasticsearch is busy: {answer.why}", where=address(client), remedy="see its log and disk")
            wait(PAUSES_S[tries])
            tries += 1
            waiting.extendleft(_halves(answer.busy))
    if roots:
        _shape(client, roots, incidents, prefix)
    return Written(changed, refused)


def _shape(client: Elasticsearch, roots: Iterable[str], incidents: Iterable[Incident], prefix: str) -> None:
    """Show anew what people shaped, where the engine has written over it, and where they put findings that may have grown."""
    from elasticsearch import ApiError, TransportError

    try:
        now = placed(client, prefix)
        put = {now.placed[one] for incident in incidents for one in incident.findings if one in now.placed}
        shape(client, {*roots, *put}, now, prefix)
    except (ApiError, TransportError) as error:
        raise _waited_for(client, error) from error


def _chunks(records: Iterable[Document]) -> Iterator[Sequence[Document]]:
    chunk: list[Document] = []
    size = 0
    for record in records:
        if chunk and (len(chunk) == BULK_DOCUMENTS or size + len(record.body) > BULK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += len(record.body)
    if chunk:
        yield chunk


def _halves(part: Sequence[Document]) -> Sequence[Sequence[Document]]:
    """Cut a request in two, the second first; the parts that a server under pressure takes are found so."""
    middle = len(part) // 2
    return [part] if not middle else [part[middle:], part[:middle]]


def _send(client: Elasticsearch, part: Sequence[Document], refresh: bool) -> Answer:
    from elasticsearch import ApiError, TransportError

    lines: Any = [line for one in part for line in (one.action, one.body)]  # the client's types know documents only
    try:
        answer = client.bulk(operations=lines, refresh=refresh)
    except ApiError as error:
        status = error.meta.status
        if status == 413 and len(part) == 1:
            return Answer(refused={part[0].id: "too-large"})
        if status == 413 or status == 429 or status >= 500:
            return Answer(busy=part, why=str(status))
        raise _waited_for(client, error) from error
    except TransportError as error:
        raise _waited_for(client, error) from error
    return judged(part, answer.body)


def _waited_for(client: Elasticsearch, error: Exception) -> ServiceError:
    """A wrong login is waited for as an absent server is: nothing is lost until an operator has put it right."""
    said = told(client, error)
    return ServiceError(f"findings are not taken: {said.what}", where=said.where, remedy=said.remedy)


def judged(part: Sequence[Document], answer: Mapping[str, Any]) -> Answer:
    """Read a bulk request's answer: what changed, what does not fit, what is to be asked for again. Quotes no content."""
    changed, why = 0, ""
    refused: dict[str, str] = {}
    busy: list[Document] = []
    roots: set[str] = set()
    for one, item in zip(part, answer["items"], strict=True):
        result = item["update"]
        if result["status"] < 400:
            changed += result["result"] != "noop"
            roots.update(filter(None, [result.get("get", {}).get("_source", {}).get("root")]))
            continue
        named = result["error"]["type"]
        if result["status"] == 400 and named in _UNFIT:
            refused[one.id] = f"refused:{named}"
        else:
            busy.append(one)
            why = f"{result['status']} {named}"
    return Answer(changed, refused, busy, why, frozenset(roots))
