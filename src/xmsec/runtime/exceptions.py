"""Exceptions written from the shell or a console: a file by rename in HOME/exceptions, where it stands before any content's.

`run` takes them up at once, workers with the next release; what was told before, the console lets the exception cover as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_hex

import msgspec

from xmsec.content.exceptions import FOLDER, ExceptionFile, Placed, Trial, exception_of, load_exceptions, written
from xmsec.content.load import parse
from xmsec.findings.hidden import covered
from xmsec.model.errors import ConfigError, ContentError
from xmsec.runtime.cases import Place
from xmsec.store.durable import sync_folder


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says who asks for an exception. when: column → wildcards; author: who writes it."""

    id: str
    reason: str
    owner: str
    author: str
    start: datetime
    expires: datetime
    when: Mapping[str, Sequence[str]]


class Shelf(msgspec.Struct, frozen=True):
    """Where exceptions lie: in content directories, and in a home, which goes before."""

    dirs: Sequence[Path]
    home: Path

    def files(self) -> list[ExceptionFile]:
        """Return all that load, by id."""
        return sorted((one.file for one in load_exceptions([*self.dirs, self.home])[0]), key=lambda file: file.id)


def drafted(draft: Draft, folder: Path = Path()) -> Placed:
    """Make an exception of a draft, with tests for both ways; its path is below `folder`. Raises ContentError."""
    when: dict[str, str | tuple[str, ...]] = {column: tuple(texts) for column, texts in draft.when.items() if texts}
    seen: dict[str, str | tuple[str, ...]] = {
        column: texts[0].replace("*", "x").replace("?", "x") for column, texts in draft.when.items() if texts
    }
    tests = [Trial("covered · 命中", dict(seen), True), Trial("after its expiry · 到期之后", dict(seen), False, draft.expires)]
    named = draft.when.get("entity.id", ())
    if named and not any("*" in text for text in named):
        tests.append(Trial("another entity · 其他对象", {**seen, "entity.id": f"{named[0]}-other"}, False))
    file = ExceptionFile(
        id=draft.id,
        reason=draft.reason,
        owner=draft.owner,
        start=draft.start,
        expires=draft.expires,
        when=when,
        author=draft.author,
        tests=tuple(tests),
    )
    path = folder / f"{draft.id}.yaml"
    if path.parent != folder or not draft.id or draft.id.startswith("."):
        raise ContentError("not a name for a file", where=f"{path}:1", remedy="write it in kebab-case")
    return exception_of(parse(path, written(file)))


def add(dirs: Sequence[Path], home: Path, draft: Draft) -> Placed:
    """Write a draft as a new exception of this home. Raises ContentError, and ConfigError when the name is taken."""
    placed = drafted(draft, home / FOLDER)
    if placed.file.id in {one.file.id for one in load_exceptions([*dirs, home])[0]} or placed.path.exists():
        raise _taken(placed.file.id)
    try:
        _put(placed.path, placed.file, os.link)  # which replaces nothing: somebody else may have taken the name meanwhile
    except FileExistsError as error:
        raise _taken(placed.file.id) from error
    return placed


def cover(file: ExceptionFile, place: Place) -> Sequence[str]:
    """Let a new exception cover what was told before it was made, within reach; return the ids of what it now covers."""
    ids = covered(file, place.reader)
    place.acts.cover(ids, file.id)
    return ids


def end(dirs: Sequence[Path], home: Path, name: str, at: datetime, by: str) -> ExceptionFile:
    """End an exception: from `at` on it covers nothing and asks for nothing. One that has ended stays as it was.

    One that lies in other content is written anew in the home, which goes before. Raises ConfigError for an unknown name.
    """
    known = {one.file.id: one for one in load_exceptions([*dirs, home])[0]}
    if name not in known:
        raise ConfigError(f'no exception "{name}"', where=FOLDER, remedy="see xmsec exceptions list")
    placed = known[name]
    if placed.file.ended is not None:
        return placed.file
    ended = msgspec.structs.replace(placed.file, ended=at, ended_by=by)
    roots = [top / FOLDER for top in [*dirs, home] if placed.path.is_relative_to(top / FOLDER)]
    _put(home / FOLDER / placed.path.relative_to(roots[-1]), ended)
    return ended


def watch(home: Path) -> Callable[[], bool]:
    """Return what says whether a home's exceptions changed since it was asked last.

    They come by rename, which the folder's time shows.
    """
    folder = home / FOLDER

    def mark() -> int:
        return folder.stat().st_mtime_ns if folder.exists() else 0

    seen = mark()

    def changed() -> bool:
        nonlocal seen
        before, seen = seen, mark()
        return seen != before

    return changed


def _taken(name: str) -> ConfigError:
    return ConfigError(f'exception "{name}" is there already', where=FOLDER, remedy="choose another name")


def _put(path: Path, file: ExceptionFile, place: Callable[[Path, Path], None] = os.replace) -> None:
    """Write durably: it is there whole, or not, whoever else writes it at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{token_hex(4)}.part")
    try:
        with part.open("w", encoding="utf-8") as out:
            out.write(written(file))
            out.flush()
            os.fsync(out.fileno())
        place(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)
