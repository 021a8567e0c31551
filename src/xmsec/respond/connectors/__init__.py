"""Connectors: one kind of CACAO command a file; each can plan, apply, verify and undo."""

from __future__ import annotations

from xmsec.model.ports import Connector
from xmsec.respond.connectors.http_api import HttpApi
from xmsec.respond.connectors.manual import Manual


def every_connector() -> dict[str, Connector]:
    """Return the connectors by the command that they carry out."""
    connectors: tuple[Connector, ...] = (Manual(), HttpApi())
    return {connector.command: connector for connector in connectors}
