"""CACAO 2.0 playbooks: read, checked against the OASIS schemas, and against what this engine can carry out.

What is covered: the steps start, action and end, the commands `manual` and `http-api`, playbook variables with a value. What is
not (branches, parallel steps, authentication, step variables) is refused when a playbook is loaded, never skipped when it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from xmsec.content.load import Document, files, load_each
from xmsec.model.errors import ContentError
from xmsec.model.ids import digest

# our step extension (CACAO 2.0 section 9): who approves, and how to see at the target whether it happened
EXTENSION = "extension-definition--6f0d3c1e-1b7a-4c55-9d0e-2a4b8d1f7c10"
STEPS = ("start", "action", "end")
COMMANDS = ("manual", "http-api")
READING = ("GET", "HEAD", "OPTIONS")  # RFC 9110 section 9.2.1: safe methods change nothing
GIVEN = (
    "__incident_id__",
    "__entity_id__",
    "__entity_type__",
    "__severity__",
    "__run_id__",
)  # what a run knows of its incident


class Verification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to see at the target whether a step happened: a reading request, and the status that says yes."""

    command: str
    status: int


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What our step extension holds."""

    approval: str = "responder"
    verify: Verification | None = None


class Step(msgspec.Struct, frozen=True):
    """One workflow step; `next` follows success, `otherwise` failure."""

    id: str
    type: str
    name: str
    next: str | None
    otherwise: str | None
    commands: tuple[dict[str, Any], ...]
    target: dict[str, Any]
    extension: Extension

    @property
    def acts(self) -> bool:
        """Whether a command changes something outside."""
        return any(one["type"] == "http-api" and one["command"].split(" ")[0].upper() not in READING for one in self.commands)

    @property
    def manual(self) -> bool:
        """Whether a person carries out a command."""
        return any(one["type"] == "manual" for one in self.commands)


class Playbook(msgspec.Struct, frozen=True):
    """A playbook that can be run. id: its file's name; version: hash of its content."""

    id: str
    version: str
    name: str
    start: str
    steps: dict[str, Step]
    variables: dict[str, str]

    def road(self) -> Iterator[Step]:
        """Yield the steps in the order of success."""
        step: Step | None = self.steps[self.start]
        while step is not None:
            yield step
            step = self.steps[step.next] if step.next else None


def load_playbooks(dirs: Sequence[Path]) -> tuple[dict[str, Playbook], list[ContentError]]:
    """Load the playbooks of content directories; good ones and all problems."""
    good, problems = load_each(files(dirs, "playbooks", (".json",)), load_playbook)
    return {playbook.id: playbook for playbook in good}, problems


def load_playbook(document: Document) -> Playbook:
    """Read one playbook. Raises ContentError that names the first thing wrong."""
    for problem in check_schema(document.body):
        raise document.error(problem, remedy="correct it by the CACAO 2.0 specification")
    body = document.body
    steps = {name: _step(document, name, step) for name, step in body["workflow"].items()}
    playbook = Playbook(
        id=document.path.stem,
        version=digest(json.dumps(body, sort_keys=True, ensure_ascii=False))[:12],
        name=body["name"],
        start=body["workflow_start"],
        steps=steps,
        variables={name: variable.get("value") or "" for name, variable in body.get("playbook_variables", {}).items()},
    )
    _check_flow(document, playbook)
    return playbook


def check_schema(body: Any) -> Iterator[str]:
    """Yield what the OASIS schemas refuse, the deepest place first named."""
    for error in sorted(_validator().iter_errors(body), key=lambda one: (str(list(one.absolute_path)), one.message)):
        place = ".".join(map(str, error.absolute_path)) or "the playbook"
        yield f"{place}: not valid against the CACAO schema ({error.validator})"


@cache
def _validator() -> Any:
    """Compile the schemas; each is registered under its path, since their own $ids are those of their folders."""
    from jsonschema import Draft7Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT7

    root = Path(__file__).parent / "schemas"
    base = "https://schemas.invalid/"  # a name, never asked
    resources = []
    for path in sorted(root.rglob("*.json")):
        schema = json.loads(path.read_text("utf-8"))
        uri = base + path.relative_to(root).as_posix()
        schema["$id"] = uri
        resources.append((uri, Resource.from_contents(schema, default_specification=DRAFT7)))
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft7Validator({"$ref": base + "playbook.json"}, registry=registry)


def _step(document: Document, name: str, body: Mapping[str, Any]) -> Step:
    kind = body["type"]
    if kind not in STEPS:
        raise document.error(f'step "{name}": type {kind} is not covered yet', remedy=f"covered: {', '.join(STEPS)}")
    commands = tuple(body.get("commands", ()))
    for command in commands:
        if command["type"] not in COMMANDS:
            what = f'step "{name}": command {command["type"]} is not covered yet'
            raise document.error(what, remedy=f"covered: {', '.join(COMMANDS)}")
        if command["type"] == "http-api" and not re.fullmatch(r"[A-Z]+ /\S* HTTP/1\.1", command["command"]):
            raise document.error(f'step "{name}": not an HTTP start line', remedy="write it as: POST /path HTTP/1.1")
    targets = document.body.get("target_definitions", {})
    agent = body.get("agent")
    if agent is not None and agent not in document.body.get("agent_definitions", {}):
        raise document.error(f'step "{name}": its agent is not defined', remedy="name one of agent_definitions")
    named = body.get("targets", ())
    if len(named) > 1 or any(target not in targets for target in named):
        raise document.error(f'step "{name}": needs one defined target', remedy="name one of target_definitions")
    try:
        extension = msgspec.convert(body.get("step_extensions", {}).get(EXTENSION, {}), Extension)
    except msgspec.ValidationError as error:
        raise document.error(f'step "{name}": {error}', remedy="the extension holds approval and verify") from error
    return Step(
        id=name,
        type=kind,
        name=body.get("name", name),
        next=body.get("on_completion") or body.get("on_success"),
        otherwise=body.get("on_failure"),
        commands=commands,
        target=targets[named[0]] if named else {},
        extension=extension,
    )


def _check_flow(document: Document, playbook: Playbook) -> None:
    """Refuse references into nothing, circles, and steps that no road reaches."""
    if playbook.start not in playbook.steps or playbook.steps[playbook.start].type != "start":
        raise document.error("workflow_start names no start step", remedy="name the step of type start")
    seen = _walked(document, playbook)
    lost = sorted(playbook.steps.keys() - seen)
    if lost:
        raise document.error(f'step "{lost[0]}" is never reached', remedy="lead to it or take it out")
    unknown = sorted({*re.findall(r"__[A-Za-z_][\w-]*__(?=:value)", document.text)} - {*playbook.variables, *GIVEN})
    if unknown:
        raise document.error(f"variable {unknown[0]} is not defined", remedy="define it in playbook_variables")


def _walked(document: Document, playbook: Playbook) -> set[str]:
    """Return the steps that the road reaches, each visited once: roads that part and meet again are many."""
    above: dict[str, None] = {}
    done: set[str] = set()
    waiting = [(playbook.start, False)]
    while waiting:
        name, left = waiting.pop()
        if left:
            del above[name]
            done.add(name)
            continue
        if name in above:
            raise document.error(f'step "{name}" comes again after itself', remedy="break the circle")
        if name in done:
            continue
        step = playbook.steps.get(name)
        if step is None:
            raise document.error(f'step "{name}" does not exist', remedy="define it in workflow")
        if step.type != "end" and step.next is None:
            raise document.error(f'step "{name}" leads nowhere', remedy="give it on_completion or on_success")
        above[name] = None
        waiting.append((name, True))
        waiting += ((following, False) for following in (step.otherwise, step.next) if following)
    return done
