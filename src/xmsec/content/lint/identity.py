"""Names and what people read first: ids, titles, status, references."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from xmsec.content.detectors import DetectorFile
from xmsec.content.lint.issue import Issue, Known, issue

STATUS = ("experimental", "test", "stable", "deprecated")
_KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def named_by_file(files: Sequence[DetectorFile], _known: Known) -> list[Issue]:
    """One document of a file bears the file's name; a plain Sigma rule from elsewhere has its UUID and any file name."""
    by_path: dict[Path, list[DetectorFile]] = {}
    for file in files:
        by_path.setdefault(file.path, []).append(file)
    return [
        issue(group[0], f'id "{group[-1].id}" is not the file\'s name', "$", f'write "{path.stem}" or rename the file')
        for path, group in by_path.items()
        if path.stem not in {file.id for file in group} and not all(_UUID.fullmatch(file.id) for file in group)
    ]


def unique_rules(files: Sequence[DetectorFile], _known: Known) -> Iterator[Issue]:
    """No two Sigma documents have one UUID; ids themselves are unique since loading."""
    seen: dict[str, DetectorFile] = {}
    for file in files:
        if file.rule in seen:
            yield issue(file, f"id {file.rule} is that of {seen[file.rule].path} too", "$.id", "give it a new UUID")
        seen.setdefault(file.rule, file)


def well_named(file: DetectorFile, _known: Known) -> Iterator[Issue]:
    """An id is kebab-case, and a Sigma document has a UUID beside it."""
    if not _KEBAB.fullmatch(file.id):
        yield issue(file, f'id "{file.id}" is not kebab-case', "$.id", "write lower case and hyphens")
    if file.type in ("sigma", "correlation") and "detection" in file.body and not _UUID.fullmatch(file.rule):
        yield issue(file, "a Sigma rule without a UUID", "$.id", "give it one", "warning")


def described(file: DetectorFile, _known: Known) -> Iterator[Issue]:
    """Title in both languages, a known status, at least one reference.

    A rule that stands in a correlation's file and is named after it only feeds that: nobody reads its title.
    """
    companion = file.id.startswith(f"{file.path.stem}-")
    if " · " not in file.title and not companion:
        remedy = "add title_zh" if file.type in ("sigma", "correlation") else "write {zh: …, en: …}"
        yield issue(file, "title in one language only", "$.title", remedy, "warning")
    if file.status not in STATUS:
        yield issue(file, f'status "{file.status}" is none', "$.status", f"write one of {', '.join(STATUS)}")
    if not file.references and not companion:
        yield issue(file, "no reference", "$", "name the standard and clause, or the source, under references", "warning")
