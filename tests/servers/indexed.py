"""Findings and incidents of the toys, and how a test writes them to its own indices."""

from __future__ import annotations

from collections.abc import Sequence

from elasticsearch import Elasticsearch
from tests.contract.every_store import outcomes

from xmsec.model.types import Finding, Incident
from xmsec.store import elastic

MADE = outcomes(60)
FINDINGS = list({finding.id: finding for outcome in MADE for finding in outcome.findings}.values())
INCIDENTS = list({incident.id: incident for outcome in MADE for incident in outcome.incidents}.values())


def write(client: Elasticsearch, prefix: str, findings: Sequence[Finding], incidents: Sequence[Incident]) -> int:
    """Write and make visible; return how many documents changed."""
    written = elastic.index(client, findings, incidents, prefix=prefix, refresh=True)
    assert written.refused == {}
    return written.changed
