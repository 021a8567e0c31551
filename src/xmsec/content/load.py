"""YAML and JSON files become documents that know their lines; loading gives what is good and all problems.

YAML is read by the 1.2 core schema (`on`, `yes` and `12:30` are text, and so is `007`), safely, and within limits, so that a
file from outside can neither run code nor fill memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from xmsec.model.errors import ContentError

T = TypeVar("T")

FILE_BYTES = 4 << 20  # the largest shipped file is a tenth of it; more is not content but data
DEPTH = 64
SMALLEST, LARGEST = -(1 << 63), (1 << 64) - 1  # numbers that the caches' MessagePack can write
FOLDERS = ("streams", "classifiers", "detectors", "playbooks", "assessments", "scenarios", "exceptions", "notify")


class _Loader(yaml.CSafeLoader):
    """The safe loader with YAML 1.2's core schema, which is set below."""


_Loader.yaml_implicit_resolvers = {}


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("int", r"^(?:[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [c if c != "\0" else "" for c in _first])


def _compose(text: str) -> Any:
    """Load one YAML document; refuses repeated keys, aliases (no file of ours needs one) and depth."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, 0, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check(node: yaml.Node, depth: int, seen: set[int]) -> None:
    if depth > DEPTH:
        raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEPTH}", problem_mark=node.start_mark)
    if id(node) in seen:
        raise yaml.MarkedYAMLError(problem="an alias; write it out", problem_mark=node.start_mark)
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            _check(key, depth + 1, seen)
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key that is no text", problem_mark=key.start_mark)
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f'key "{key.value}" stands twice', problem_mark=key.start_mark)
            keys.add(key.value)
            _check(value, depth + 1, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check(value, depth + 1, seen)
    elif node.tag == "tag:yaml.org,2002:int" and not SMALLEST <= int(node.value, 0) <= LARGEST:
        raise yaml.MarkedYAMLError(problem="a number beyond 64 bits; write it in quotes", problem_mark=node.start_mark)


class Document(msgspec.Struct, frozen=True):
    """One file as it was read: its path, its text, and its plain body (mappings, lists, scalars)."""

    path: Path
    text: str
    body: Any

    def error(self, what: str, at: str = "$", remedy: str = "") -> ContentError:
        """Make an error that names the file and the line of a place such as `$.tests[0].name`."""
        return ContentError(what, where=f"{self.path}:{self._line(at)}", remedy=remedy)

    def _line(self, at: str) -> int:
        if self.path.suffix == ".json":
            return 1
        node = yaml.compose(self.text, Loader=_Loader)
        for step in re.findall(r"[^.\[\]$]+", at):
            found = _child(node, step)
            if found is None:
                break
            node = found
        return int(node.start_mark.line) + 1 if node is not None else 1


def _child(node: Any, step: str) -> Any:
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        return node.value[int(step)]
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


def read(path: Path) -> Document:
    """Read one file. Raises ContentError."""
    return parse(path, text_of(path))


def text_of(path: Path) -> str:
    """Return the text of a content file, within the limits. Raises ContentError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ContentError(f"cannot be read: {error.strerror}", where=str(path), remedy="check path and permission") from error
    if len(content) > FILE_BYTES:
        raise ContentError(f"larger than {FILE_BYTES >> 20} MiB", where=str(path), remedy="split it")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ContentError("not UTF-8", where=str(path), remedy="save it as UTF-8") from error


def parse(path: Path, text: str) -> Document:
    """Parse text as the kind of file that `path` names. Raises ContentError."""
    try:
        body = json.loads(text) if path.suffix == ".json" else _compose(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ContentError(f"not YAML: {error.problem}", where=f"{path}:{line}", remedy="correct it") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        line = getattr(error, "lineno", 1)
        raise ContentError("not well-formed", where=f"{path}:{line}", remedy="correct it") from error
    return Document(path, text, body)


def convert(document: Document, kind: type[T], body: Any = msgspec.UNSET, at: str = "$") -> T:
    """Turn a document (or the part of it that stands at `at`) into a typed record. Raises ContentError with the line."""
    try:
        return msgspec.convert(document.body if body is msgspec.UNSET else body, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `")
        named = place.rstrip("`").removeprefix("$")
        raise document.error(what, at + named, f"correct {named.lstrip('.')}" if named else "correct it") from error


def files(dirs: Iterable[Path], folder: str, suffixes: Sequence[str] = (".yaml", ".yml")) -> list[Path]:
    """List the files of one content folder, sorted; a file in a later directory replaces the one of the same name before it."""
    found: dict[str, Path] = {}
    for top in dirs:
        root = top / folder
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            if path.suffix in suffixes and path.is_file():
                found[path.relative_to(root).as_posix()] = path
    return [found[name] for name in sorted(found)]


def load_each(paths: Iterable[Path], loader: Callable[[Document], T]) -> tuple[list[T], list[ContentError]]:
    """Load each file; one bad file stops nothing else."""
    good: list[T] = []
    problems: list[ContentError] = []
    for path in paths:
        try:
            good.append(loader(read(path)))
        except ContentError as error:
            problems.append(error)
    return good, problems


def revision(paths: Iterable[Path]) -> str:
    """Hash what the files say, in their order: 16 hexadecimal digits."""
    total = blake2b(digest_size=8)
    for path in paths:
        total.update(blake2b(path.read_bytes(), digest_size=16).digest())
    return total.hexdigest()


def shipped() -> Path:
    """Return the directory of the content that comes with xmsec: in the wheel, or the checkout that it is installed from."""
    package = Path(__file__).parent.parent
    inside = package / "shipped"
    return inside if inside.is_dir() else package.parent.parent
