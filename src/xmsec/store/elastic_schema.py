"""What Elasticsearch is told of our records: tables, their strict mappings, their aliases, and which index a record lies in.

A table is an alias, `<prefix>-<table>`, over one index a month (`<prefix>-findings-2026.11`) or over a single one (`…-0`). Each
index says by which schema it was made (`_meta.schema`); one without is of schema 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec

from xmsec.model.types import Finding

PREFIX = "xmsec"
SCHEMA = 6  # grows with every change of a mapping; `index ensure` takes older indices along
SINGLE = "0"  # the suffix of a table's first index, and of its only one when it is not cut into months

_DATE = {"type": "date"}
_WORD = {"type": "keyword", "ignore_above": 8191}  # Lucene's 32,766 bytes a term, at four bytes a character
_NUMBER = {"type": "long"}
_KEPT = {"type": "object", "enabled": False}  # shown, not searched: an event may hold any field, and mappings must not grow
_ENTITY = {"properties": {"type": _WORD, "id": _WORD}}
_FINDING = {
    **dict.fromkeys(("time", "first_seen"), _DATE),
    **dict.fromkeys(("id", "detector", "version", "kind", "title", "severity", "system", "stream", "stage", "grade"), _WORD),
    **dict.fromkeys(("labels", "datasets", "state", "events", "controls", "playbooks", "exception"), _WORD),
    **dict.fromkeys(("incident", "status", "assignee"), _WORD),  # people's
    **dict.fromkeys(("severity_rank", "risk", "count"), _NUMBER),
    "entity": _ENTITY,
    "window": {"properties": {"start": _DATE, "end": _DATE}},
    "evidence": _KEPT,
    "explanation": _KEPT,
}
_INCIDENT = {
    **dict.fromkeys(("opened", "due"), _DATE),
    **dict.fromkeys(("id", "state", "severity", "findings", "detectors", "systems"), _WORD),
    **dict.fromkeys(("related", "status", "assignee", "root"), _WORD),  # people's
    "own": _WORD,  # the findings that the engine says it has; `findings` are those that are shown
    **dict.fromkeys(("severity_rank", "risk"), _NUMBER),
    "entity": _ENTITY,
    "levels": _KEPT,
}
_LABEL = {
    **dict.fromkeys(("dataset", "field", "type", "grade", "why", "evidence", "author"), _WORD),
    "confidence": _NUMBER,
    "as_of": _DATE,
}
_ACT = {  # what somebody decided of incidents; never changed
    **dict.fromkeys(("id", "kind", "by", "about", "incident", "incidents", "findings", "into", "status", "assignee"), _WORD),
    "at": _DATE,
    "text": {"type": "keyword", "index": False, "doc_values": False},
}
_USE = {  # one account's use of a dataset on a day; and, of each thread of recordings, how far it was summed
    **dict.fromkeys(("thread", "system", "dataset", "account"), _WORD),
    **dict.fromkeys(("events", "upto"), _NUMBER),
    **dict.fromkeys(("first", "last"), _NUMBER),  # microseconds since 1970: a date keeps milliseconds
    "day": _DATE,
    "sources": _KEPT,
}
_COUNT = {  # what one life of a worker counted so far; and, of each partition, how things stand
    **dict.fromkeys(("kind", "life", "stream", "what", "leg", "reason", "dataset", "field", "type"), _WORD),
    **dict.fromkeys(("role", "topic", "partition"), _WORD),
    **dict.fromkeys(("total", "heard", "received", "at"), _NUMBER),  # times in microseconds, as those of use
}
_RUN = {  # one document a run: its last entry's facts to search by, all entries, and who goes on with it
    **dict.fromkeys(("run", "playbook", "incident", "kind", "step", "by", "hash", "holder"), _WORD),
    **dict.fromkeys(("number", "term", "lease_ms"), _NUMBER),
    **dict.fromkeys(("began", "at"), _DATE),
    "entries": _KEPT,
}


class Table(msgspec.Struct, frozen=True):
    """One kind of record. views: further aliases over the same indices, each with the one term that its records have.

    latest: the time by which lists of it are ordered. Its indices keep the latest first, so that a page is read from where they
    begin and not found among all; an index that was made without the order is read as well, only slower.
    """

    name: str
    properties: Mapping[str, Any]
    views: Mapping[str, Mapping[str, str]] = {}
    latest: str = ""

    def alias(self, prefix: str) -> str:
        """Return the name that readers use."""
        return f"{prefix}-{self.name}"

    def first(self, prefix: str) -> str:
        """Return the index that is there from the beginning, so that the alias answers."""
        return f"{prefix}-{self.name}-{SINGLE}"

    def aliases(self, prefix: str) -> dict[str, dict[str, Any]]:
        """Return all aliases of an index of this table, as Elasticsearch takes them."""
        views = {f"{prefix}-{name}": {"filter": {"term": dict(term)}} for name, term in self.views.items()}
        return {self.alias(prefix): {}, **views}

    def mappings(self) -> dict[str, Any]:
        """Return the mapping: a field that it does not name is an error, not a new field."""
        return {"dynamic": "strict", "_meta": {"schema": SCHEMA}, "properties": dict(self.properties)}

    def settings(self) -> dict[str, Any]:
        """Return the settings of an index of this table."""
        return {**SETTINGS, **({"sort.field": self.latest, "sort.order": "desc"} if self.latest else {})}

    def template(self, prefix: str) -> dict[str, Any]:
        """Return the index template by which each month's index makes itself at its first record."""
        return {
            "index_patterns": [f"{self.alias(prefix)}-*"],
            "priority": 500,
            "template": {"settings": self.settings(), "aliases": self.aliases(prefix), "mappings": self.mappings()},
            "meta": {"schema": SCHEMA},
        }

    def month(self, index: str, prefix: str) -> str | None:
        """Return the name under which records are written to an index of this table; None for one of another table.

        >>> Table("findings", {}).month("xmsec-v3-findings-2026.11", "xmsec")
        'xmsec-findings-2026.11'
        """
        found = re.fullmatch(rf"{re.escape(prefix)}-(?:v\d+-)?{self.name}-({SINGLE}|\d{{4}}\.\d\d)", index)
        return found and f"{self.alias(prefix)}-{found[1]}"

    def moved(self, month: str, prefix: str) -> str:
        """Return the index that a month is copied to by this schema; no template makes it, so that no alias shows it early."""
        return f"{prefix}-v{SCHEMA}-{month.removeprefix(f'{prefix}-')}"


SETTINGS = {
    "number_of_shards": 1,  # a month of findings is far below a shard's 50 GB
    "auto_expand_replicas": "0-1",
    "refresh_interval": "500ms",  # until a search sees a finding; Elasticsearch's own 1 s is half of what the way here may take
}
TABLES = (
    Table("findings", _FINDING, {"coverage": {"kind": "coverage"}}, "time"),
    Table("incidents", _INCIDENT, latest="opened"),
    Table("labels", _LABEL),
    Table("runs", _RUN),
    Table("acts", _ACT),
    Table("uses", _USE),
    Table("counts", _COUNT),
)
FINDINGS, INCIDENTS, _, RUNS, ACTS, USES, COUNTS = TABLES


def finding_index(finding: Finding, prefix: str = PREFIX) -> str:
    """Return the index of the month in which a finding's window starts: its id fixes it."""
    return f"{FINDINGS.alias(prefix)}-{finding.window.start.astimezone(UTC):%Y.%m}"


def incident_index(prefix: str = PREFIX) -> str:
    """Return the index of incidents: `opened` may still move to an earlier month, and there are few of them."""
    return INCIDENTS.first(prefix)


def deployment_index(prefix: str = PREFIX) -> str:
    """Return the index that holds what the deployment was made with: the key's check value, and the schema."""
    return f"{prefix}-deployment"
