"""Content becomes a road: everything that a deployment watches, loaded once, with all that did not load."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

import msgspec

from xmsec.classify.epochs import Keyring
from xmsec.classify.grade import grader
from xmsec.classify.road import classifier
from xmsec.content.classifiers import load_classifiers
from xmsec.content.detectors import DetectorFile, load_detectors
from xmsec.content.exceptions import FOLDER as EXCEPTIONS
from xmsec.content.exceptions import ExceptionFile, load_exceptions
from xmsec.content.load import FOLDERS, files, read, revision
from xmsec.content.recipes import Recipe, load_recipes
from xmsec.content.streams import Stream, load_streams
from xmsec.detect.load import Place, detectors
from xmsec.findings.exceptions import Exceptions
from xmsec.findings.incident import ByEntityAndDay
from xmsec.ledger.book import Book
from xmsec.ledger.change import Change, diff, merge
from xmsec.ledger.entries import Entries
from xmsec.ledger.read import write
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ContentError
from xmsec.model.types import Revisions
from xmsec.parse.road import parser
from xmsec.pipeline.group import INCIDENTS
from xmsec.pipeline.road import Road
from xmsec.respond.playbook import Playbook, load_playbooks
from xmsec.store.durable import sync_folder
from xmsec.store.lock import LEDGER, HomeLock

Read = tuple[Book, list[ContentError]]  # a revision of the ledger, and what is wrong with it
Revised = tuple[int, list[Change], list[ContentError]]  # the revision by now, what changed, what is wrong
LATENESS_S = 300  # of a stream that left the content while its clock is still known


class Deployment(msgspec.Struct, frozen=True):
    """A road with what it was made of. codecs: the type of each owner's states; missing: models that there are none of."""

    road: Road
    streams: Mapping[str, Stream]
    files: Sequence[DetectorFile]
    recipes: Mapping[str, Recipe]
    playbooks: Mapping[str, Playbook]
    ledger: Book
    problems: Sequence[ContentError]
    missing: Sequence[str]
    codecs: Mapping[str, type[Any]]
    exceptions: Sequence[ExceptionFile] = ()


def assemble(dirs: Sequence[Path], home: Path, key: bytes | Keyring, zone: tzinfo, cache: Path | None = None) -> Deployment:
    """Load the content directories (later ones replace files of the same name) and the home's ledger and models.

    cache: a folder for what is slow to compile; the home's own unless it is named.
    """
    streams, problems = load_streams(dirs)
    classifiers, wrong = load_classifiers(dirs)
    problems += wrong
    detector_files, wrong = load_detectors(dirs)
    problems += wrong
    recipes, wrong = load_recipes(dirs)
    problems += wrong
    playbooks, wrong = load_playbooks(dirs)
    problems += wrong
    ledger, wrong = current_ledger(home)
    problems += wrong
    exceptions, wrong = load_exceptions([*dirs, home])
    problems += wrong
    exempt = [one.file for one in exceptions]
    cache = cache or home / "cache"
    loaded = detectors(detector_files, Place(zone, streams, list(recipes.values()), home / "models", cache))
    problems += loaded.problems
    grouping = ByEntityAndDay(zone)
    road = Road(
        parse=parser(streams, zone),
        classify=classifier(classifiers, streams, key, cache),
        grade=grader(classifiers.grades),
        matcher=loaded.rules,
        ledger=ledger,
        detectors=loaded.detectors,
        grouping=grouping,
        system=lambda stream: stream.partition(".")[0],
        lateness=_lateness(streams),
        revisions=Revisions(content_revision(dirs, home), ledger.revision),
        exceptions=Exceptions(exempt, zone),
    )
    codecs = {name: detector.state for name, detector in loaded.detectors.items()}
    return Deployment(
        road,
        streams,
        detector_files,
        recipes,
        playbooks,
        ledger,
        problems,
        loaded.missing,
        {**codecs, INCIDENTS: grouping.state},
        exempt,
    )


def excepted(road: Road, dirs: Sequence[Path], home: Path, zone: tzinfo) -> Road:
    """Return a road with the exceptions as they lie there now."""
    files = [one.file for one in load_exceptions([*dirs, home])[0]]
    revisions = Revisions(content_revision(dirs, home), road.revisions.ledger)
    return msgspec.structs.replace(road, exceptions=Exceptions(files, zone), revisions=revisions)


def content_revision(dirs: Sequence[Path], home: Path) -> str:
    """Name what the content says, the home's own exceptions included."""
    content = [path for folder in FOLDERS for path in files(dirs, folder, (".yaml", ".yml", ".json"))]
    return revision([*content, *files([home], EXCEPTIONS)])


def current_ledger(home: Path) -> Read:
    """Return the newest revision of a home's ledger (HOME/ledger, one file a revision); an empty one when there is none."""
    revisions = sorted((home / "ledger").glob("*.yaml"))
    if not revisions:
        return Book(Entries(as_of=EPOCH, revision=0)), []
    return Book.load(read(revisions[-1]))


def revision_of(home: Path, revision: int) -> Path:
    """Return where a revision of a home's ledger lies."""
    return home / "ledger" / f"{revision:06d}.yaml"


def keep_ledger(home: Path, news: Entries) -> Revised:
    """Merge entries into a home's ledger as its next revision; with problems, or without changes, nothing is written."""
    return revise(home, lambda book: merge(book, news))


def revise(home: Path, change: Callable[[Book], Read], read: Callable[[Path], Read] = current_ledger) -> Revised:
    """Make what `change` returns a home's next revision; with problems, or without changes, nothing is written."""
    with HomeLock(home, LEDGER):
        book, problems = read(home)
        changed, wrong = change(book)
        problems = [*problems, *wrong]
        if not problems and changed is not book:
            path = revision_of(home, changed.revision)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{changed.revision}.part")
            with part.open("w", encoding="utf-8") as out:
                out.write(write(changed.entries))
                out.flush()
                os.fsync(out.fileno())
            part.rename(path)
            sync_folder(path.parent)
    return changed.revision, diff(book.entries, changed.entries), problems


def _lateness(streams: Mapping[str, Stream]) -> Callable[[str], timedelta]:
    by_stream = {name: timedelta(seconds=stream.lateness_s) for name, stream in streams.items()}
    return lambda stream: by_stream.get(stream, timedelta(seconds=LATENESS_S))
