"""CACAO `http-api`: a request to a target, sent with an idempotency key and verified by a reading request.

Authentication objects of CACAO are not carried out yet; a target that asks for one answers 401 and the step fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from xmsec.model.errors import PolicyError, ServiceError
from xmsec.model.ports import Plan, WorkflowStep

TIMEOUT_S = 30.0  # an answer that takes longer is asked for again by `verify`, not by sending twice


class HttpApi:
    """Sends a command's request to its target."""

    command = "http-api"

    def plan(self, step: WorkflowStep) -> Plan:
        """Return what would be sent where; nothing is sent."""
        content = str(step.body.get("content", ""))
        to_be = step.body["command"].removesuffix(" HTTP/1.1") + (f" {content}" if content else "")
        return Plan(f"{step.target.get('name', 'target')} {_base(step.target)}", "not asked while rehearsing", to_be)

    def apply(self, step: WorkflowStep, key: str) -> Mapping[str, str]:
        """Send the request. Raises PolicyError when the target refuses, ServiceError when its answer is not known."""
        headers = {name: ", ".join(values) for name, values in step.body.get("headers", {}).items()}
        status = _send(step.target, step.body["command"], step.body.get("content", ""), {**headers, "Idempotency-Key": key})
        if status >= 500:
            raise ServiceError(f"the target answers {status}", where=_base(step.target), remedy="resume the run later")
        if status >= 400:
            raise PolicyError(f"the target answers {status}", where=_base(step.target), remedy="see the target's own log")
        return {"status": str(status)}

    def verify(self, step: WorkflowStep, key: str) -> bool | None:
        """Ask the target by the step's own reading request; None when the playbook names none."""
        asked = step.body.get("verify")
        if asked is None:
            return None
        return bool(_send(step.target, asked["command"], "", {"Idempotency-Key": key}) == asked["status"])

    def undo(self, step: WorkflowStep, key: str) -> None:
        """Refuse: a playbook takes back what it did by a step of its own. Raises PolicyError."""
        raise PolicyError("this request has no reverse", where=step.id, remedy="add a step that takes it back")


def _base(target: Mapping[str, Any]) -> str:
    address = target.get("address", {})
    if address.get("url"):
        return str(address["url"][0]).rstrip("/")
    if address.get("dname"):
        return f"https://{address['dname'][0]}:{target.get('port', '443')}"
    for kind in ("ipv4", "ipv6"):
        if address.get(kind):
            host = address[kind][0]
            return f"http://{f'[{host}]' if kind == 'ipv6' else host}:{target.get('port', '80')}"
    raise PolicyError("the target has no address", where=str(target.get("name", "")), remedy="give it url, dname, ipv4 or ipv6")


def _send(target: Mapping[str, Any], line: str, content: str, headers: Mapping[str, str]) -> int:
    base = urlsplit(_base(target))
    method, path, _ = line.split(" ")
    kind = HTTPSConnection if base.scheme == "https" else HTTPConnection
    connection = kind(base.hostname or "", base.port, timeout=TIMEOUT_S)
    try:
        connection.request(method, base.path + path, content.encode() or None, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException) as error:
        what = f"the target does not answer ({type(error).__name__})"
        raise ServiceError(what, where=base.netloc, remedy="xmsec playbook resume RUN when it is back") from error
    finally:
        connection.close()
