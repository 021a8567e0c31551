"""Content proves itself: inline tests of detectors, sample lines of streams, examples of classifiers; and the lint of all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta, tzinfo
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from xmsec.classify.grade import grader
from xmsec.classify.recognise import Recognisers
from xmsec.content.classifiers import Example, Recogniser, engine_problems
from xmsec.content.detectors import Case, DetectorFile
from xmsec.content.exceptions import Placed
from xmsec.content.expect import Failure, Run, Tokened, check, compare, inline_events, inline_history, until
from xmsec.content.lint.every import lint
from xmsec.content.lint.exceptions import excepting, names
from xmsec.content.lint.issue import Issue, Known
from xmsec.content.load import Document, read
from xmsec.content.notify import Destination
from xmsec.content.notify import tried as goes
from xmsec.content.recipes import Recipe
from xmsec.content.streams import SAMPLE_RECEIVED, Stream, check_samples
from xmsec.detect.kinds.anomaly import Anomaly
from xmsec.detect.load import Loaded, Place, detectors
from xmsec.detect.train import rows, train
from xmsec.findings.exceptions import tried as excepted
from xmsec.findings.incident import ByEntityAndDay
from xmsec.ledger.book import Book
from xmsec.ledger.entries import Entries
from xmsec.model.clock import EPOCH
from xmsec.model.errors import ConfigError, ContentError, InputError
from xmsec.model.ports import Detector
from xmsec.model.states import Memory
from xmsec.model.types import Finding, Position, Raw, Revisions
from xmsec.parse.road import Parse, stream_parser
from xmsec.pipeline.enrich import enrich
from xmsec.pipeline.inline import play
from xmsec.pipeline.road import Road, Taken
from xmsec.runtime.assemble import LATENESS_S
from xmsec.runtime.contents import Contents


class Checked(msgspec.Struct, frozen=True):
    """What the tests of one file gave: how many there are, and a line for each that failed."""

    path: Path
    tests: int
    failures: Sequence[str]


class Bench(msgspec.Struct, frozen=True):
    """Content made ready to be tried, and what could not be made ready."""

    contents: Contents
    loaded: Loaded
    zone: tzinfo
    cache: Path | None = None

    @property
    def problems(self) -> list[ContentError]:
        """What did not load of the files that were asked for."""
        found = (*self.contents.problems, *self.loaded.problems)
        return [one for one in found if _path_of(one.where) is None or _path_of(one.where) in self.contents.asked]


def bench(contents: Contents, zone: tzinfo, cache: Path | None = None) -> Bench:
    """Make detectors of content. cache: a folder for what is slow to compile."""
    recipes = list(contents.recipes.values())
    place = Place(zone, contents.streams_by_id, recipes, models=None, cache=cache)
    return Bench(contents, detectors(contents.detectors, place), zone, cache)


def tried(on: Bench) -> Iterator[Checked]:
    """Run the tests of every file that was asked for."""
    asked = on.contents.asked
    yield from (_stream_tests(path, stream, on.zone) for path, stream in on.contents.streams.items() if path in asked)
    if asked & on.contents.recognisers.keys():
        yield from _classifier_tests(on.contents, on.cache)
    run = runner(on)
    by_path = groupby((file for file in on.contents.detectors if file.path in asked), key=lambda file: file.path)
    for path, files in by_path:
        yield _detector_tests(path, list(files), run)
    yield from (_destination_tests(path, one) for path, one in on.contents.destinations.items() if path in asked)
    yield from (_recipe_tests(path, recipe, on) for path, recipe in on.contents.recipes.items() if path in asked)
    yield from (_exception_tests(path, one) for path, one in on.contents.exceptions.items() if path in asked)


def runner(on: Bench) -> Run:
    """Return what carries an inline test along a road of a file's own detectors, with the ledger that the test names."""

    def run(file: DetectorFile, case: Case, events: Sequence[Tokened]) -> Sequence[Finding]:
        made = on.loaded.detectors
        own = {name: made[name] for name in made if name in (file.id, "sigma") or name.startswith(f"{file.id}-")}
        return play(_road(on, own, _ledger(file.path, case)), events, until(case))

    return run


def _road(on: Bench, own: Mapping[str, Detector[Any]], ledger: Book) -> Road:
    """Return a road on which only these detectors stand."""
    streams = on.contents.streams_by_id

    def lateness(stream: str) -> timedelta:
        return timedelta(seconds=streams[stream].lateness_s if stream in streams else LATENESS_S)

    return Road(
        parse=lambda _: None,
        classify=lambda _: [],
        grade=grader(on.contents.grades),
        matcher=on.loaded.rules,
        ledger=ledger,
        detectors=own,
        grouping=ByEntityAndDay(on.zone),
        system=lambda stream: stream.partition(".")[0],
        lateness=lateness,
        revisions=Revisions("inline", 0),
    )


def _ledger(path: Path, case: Case) -> Book:
    """Return the ledger that a test names. Raises InputError: what is wrong with a test is a failure of it."""
    given = case.given.ledger
    if given is None:
        return Book(Entries(as_of=EPOCH))
    try:
        book, problems = Book.load(read(path.parent / given) if isinstance(given, str) else Document(path, "", given))
    except ContentError as error:
        problems = [error]
    for problem in problems:
        raise InputError(f"its ledger: {problem.what}", remedy=problem.remedy)
    return book


def _detector_tests(path: Path, files: Sequence[DetectorFile], run: Run) -> Checked:
    failures = [failure for file in files for failure in check(file, run)]
    by_case = groupby(failures, key=lambda failure: (failure.where, failure.case))
    lines = [str(Failure(where, case, "; ".join(one.what for one in several))) for (where, case), several in by_case]
    return Checked(path, sum(len(file.tests) for file in files), lines)


def _exception_tests(path: Path, one: Placed) -> Checked:
    return Checked(path, len(one.file.tests), [f"{path}: {line}" for line in excepted(one.file)])


def _recipe_tests(path: Path, recipe: Recipe, on: Bench) -> Checked:
    """Train a model on each test's history, and let it judge the test's events."""
    lines: list[str] = []
    for case in recipe.tests:
        try:
            failures = compare(case.findings, _told(path, recipe, case, on))
        except (ConfigError, InputError) as error:
            failures = [str(error)]
        if failures:
            lines.append(f'{path}: "{case.name}": {"; ".join(failures)}')
    return Checked(path, len(recipe.tests), lines)


def _told(path: Path, recipe: Recipe, case: Case, on: Bench) -> Sequence[Finding]:
    ledger = _ledger(path, case)
    history = Taken(inline_history(case), (), Counter(), Counter())
    learned = enrich(history, _road(on, {}, ledger), Memory()).contexts
    model = train(recipe, rows(recipe, learned, on.zone), on.zone)
    return play(_road(on, {recipe.id: Anomaly(recipe, model, on.zone)}, ledger), inline_events(case), until(case))


def _destination_tests(path: Path, destination: Destination) -> Checked:
    return Checked(path, len(destination.tests), [f"{path}: {line}" for line in goes(destination)])


def _stream_tests(path: Path, stream: Stream, zone: tzinfo) -> Checked:
    try:
        found = check_samples(stream, stream_parser(stream, zone))
    except ConfigError as error:
        found = [str(error)]
    lines = (
        f'{path}: "{sample}": {"; ".join(one.removeprefix(f"{sample}: ") for one in several)}'
        for sample, several in groupby(found, key=lambda line: line.partition(":")[0])
    )
    return Checked(path, len(stream.samples), list(lines))


def _classifier_tests(contents: Contents, cache: Path | None) -> Iterator[Checked]:
    """Look for every example with all recognisers, as the road does: another type may take a value away."""
    try:
        recognisers = Recognisers([one for several in contents.recognisers.values() for one in several], cache)
    except ContentError as error:
        yield Checked(Path(), 1, [str(error)])
        return
    for path, several in contents.recognisers.items():
        if path in contents.asked:
            failures = [f'{path}: "{one.name}": {what}' for one in several for what in _misjudged(one, recognisers)]
            yield Checked(path, sum(len(one.xmsec.positives) + len(one.xmsec.negatives) for one in several), failures)


def _misjudged(one: Recogniser, recognisers: Recognisers) -> Iterator[str]:
    """Name the examples that are not taken for what they are."""
    for positive in one.xmsec.positives:
        example = positive if isinstance(positive, Example) else None
        text = example.text if example else str(positive)
        values = list(_values(text, one, recognisers))
        if not values:
            yield f'not found in "{text}"'
        elif example and example.value not in [value for value, _ in values]:
            yield f'found as "{values[0][0]}" in "{text}"'
        elif example and example.canonical not in (None, *(canonical for _, canonical in values)):
            yield f'canonical form "{values[0][1]}" of "{text}"'
    for text in one.xmsec.negatives:
        for value, _ in _values(text, one, recognisers):
            yield f'taken for one: "{value}" in "{text}"'


def _values(text: str, one: Recogniser, recognisers: Recognisers) -> Iterator[tuple[str, str]]:
    """Yield what was found of a recogniser's type, as it stands and in its canonical form."""
    found, _ = recognisers.find([text])
    for hit in found.get(0, ()):
        if recognisers.content[hit.which].supported_entity == one.supported_entity:
            yield text[hit.start : hit.end], recognisers.canonical(hit, text)


def issues(on: Bench) -> list[Issue]:
    """Return what is wrong with the files that were asked for: what does not load, and what the lint says."""
    contents = on.contents
    fields = {name: carried_by(stream, on.zone) for name, stream in contents.streams_by_id.items()}
    found = [Issue(one.where, one.what, one.remedy) for one in on.problems]
    known = Known(fields, contents.playbooks)
    told = lint(contents.detectors, known)
    found += (one for one in told if _path_of(one.where) in contents.asked)
    speaking = names(contents.detectors) | {recipe.id for recipe in contents.recipes.values()}
    for path in sorted(contents.asked & contents.exceptions.keys()):
        found += excepting(contents.exceptions[path], speaking)
    for path in sorted(contents.asked & contents.recognisers.keys()):
        found += (Issue(str(path), what, "write it otherwise") for what in _refused(contents.recognisers[path], on.cache))
    return sorted(set(found))


def _refused(several: Sequence[Recogniser], cache: Path | None) -> list[str]:
    """Ask the set engine for each pattern only when it refuses them together: one by one takes seconds."""
    try:
        Recognisers(several, cache)
    except ContentError as error:
        return engine_problems(several) or [str(error)]
    return []


def carried_by(stream: Stream, zone: tzinfo) -> frozenset[str]:
    """Return the fields that a stream carries: those that its file names, and those of its sample lines."""
    named = {*stream.map, *stream.set, *stream.identities, *stream.typed, *stream.scan}
    named.update(column.partition("@")[0] for column in stream.columns)
    try:
        parse = stream_parser(stream, zone)
    except ConfigError:
        return frozenset(named)
    return frozenset(named.union(*(sample.fields for sample in stream.samples), *_parsed(stream, parse)))


def _parsed(stream: Stream, parse: Parse) -> Iterable[Iterable[str]]:
    for number, sample in enumerate(stream.samples):
        received = sample.received or sample.time or SAMPLE_RECEIVED
        try:
            parsed = parse(Raw(Position(stream.id, "sample", number), received, sample.line.encode()))
        except InputError:
            continue
        if parsed is not None:
            yield parsed.fields


def _path_of(where: str) -> Path | None:
    """Return the file that a place such as `path:12` names; None when it names none."""
    return Path(re.sub(r":\d+$", "", where)) if "/" in where or "." in where else None
