"""`xmsec dead`: the records that a leg refused, and the same once more when a parser was corrected."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmsec.cli.options import Home, Output, example

if TYPE_CHECKING:
    from xmsec.cli.home import Opened
    from xmsec.cli.settings import Settings
    from xmsec.model.types import Rejected, Source
    from xmsec.runtime.refused import Fate
    from xmsec.sources.file import Content

app = typer.Typer(help="Dead letters: where a refused record stands and why; never the record.", no_args_is_help=True)

StreamOption = Annotated[str | None, typer.Option("--stream", help="Of one stream.")]
COLUMNS = {
    "stream": "stream",
    "leg": "leg",
    "reason": "reason",
    "count": "count",
    "retryable": "retryable",
    "retried": "retried",
}


@app.command("list", epilog=example("xmsec dead list --stream generic.web"))
def list_(stream: StreamOption = None, home: Home = None, form: Output = None) -> None:
    """List dead letters by source and reason; the first thousand of each are kept, all are counted.

    retry: whether `dead retry` can read the record (yes), needs its file named (by-path), or cannot (gone, no).
    """
    from xmsec.cli.output import chosen, rows
    from xmsec.cli.settings import settings

    given = settings(home)
    letters, totals, sent = _on_kafka(given, stream) if given.on_kafka else _in_home(home, stream)
    if chosen(form) != "table":
        rows(letters, form, {})
        return
    ready = Counter((one["stream"], one["leg"], one["reason"]) for one in letters if one["retry"] == "yes")
    told = [
        {**dict(zip(("stream", "leg", "reason"), group, strict=True)), "count": totals.get(group, 0), "retryable": ready[group]}
        | {"retried": sent.get(group, 0)}
        for group in sorted({*totals, *sent})
    ]
    rows(told, form, COLUMNS)


@app.command("retry", epilog=example("xmsec dead retry /var/log/nginx/access.log*"))
def retry(
    paths: Annotated[
        list[str] | None, typer.Argument(help="Files that hold the records, beside those that streams name.")
    ] = None,
    stream: StreamOption = None,
    home: Home = None,
    form: Output = None,
) -> None:
    """Read refused records again at their positions, and carry those that are taken now along the road, once.

    On Kafka they are sent to their raw partition again. In a home they count as late: no closed window opens.
    """
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings

    given = settings(home)
    became: Counter[tuple[str, str, str]] = Counter()
    fates: Counter[tuple[tuple[str, str, str], str]] = Counter()
    for letter, fate in _sent_again(given, stream) if given.on_kafka else _carried_again(home, paths or (), stream):
        group = (letter.position.stream, letter.leg, letter.reason)
        became[group] += 1
        fates[group, fate] += 1
    told = [
        {**dict(zip(("stream", "leg", "reason"), group, strict=True)), **{fate: fates[group, fate] for fate in FATES}}
        for group in sorted(became)
    ]
    rows(told, form, {name: name for name in ("stream", "leg", "reason", *FATES)})


FATES = ("retried", "failed", "gone")
Group = tuple[str, str, str]
Listed = tuple[Sequence[dict[str, Any]], Mapping[Group, int], Mapping[Group, int]]


def _in_home(home: Path | None, stream: str | None) -> Listed:
    from xmsec.cli.home import opened
    from xmsec.store.figures import dead_totals
    from xmsec.store.rows import dead_row

    with opened(home, write=False) as here:
        totals = dead_totals(here.store.connection)
        kept = list(here.store.dead(stream))
        held = _held(here, kept, ())
        letters = [{**dead_row(one), "retry": _chance(one, held)} for one in kept]
    return letters, {group: total for group, total in totals.items() if stream in (None, group[0])}, {}


def _chance(letter: Rejected, held: Mapping[Source, Content]) -> str:
    from xmsec.runtime.refused import LEGS
    from xmsec.sources.spool import PARTITION

    if letter.leg not in LEGS:
        return "no"
    if letter.position.source in held:
        return "yes"
    return "gone" if letter.position.partition == PARTITION else "by-path"


def _held(here: Opened, letters: Iterable[Rejected], paths: Sequence[str]) -> dict[Source, Content]:
    """Find the files that hold the records, among those of their streams and those that were named."""
    from xmsec.runtime.retry import holders
    from xmsec.sources.file import Content

    for path in paths:
        Content(path)  # what cannot be read is said, whether it is needed or not
    found: dict[Source, Content] = {}
    for name in sorted({one.position.stream for one in letters}):
        stream = here.deployment.streams.get(name)
        patterns = stream.paths if stream is not None else ()
        own = [path for pattern in patterns for path in sorted(glob.glob(pattern, recursive=True)) if Path(path).is_file()]
        found |= {(name, partition): content for partition, content in holders(here.rig, name, [*paths, *own]).items()}
    return found


def _carried_again(home: Path | None, paths: Sequence[str], stream: str | None) -> Iterator[tuple[Rejected, Fate]]:
    from xmsec.cli.home import now, opened
    from xmsec.runtime.refused import LEGS
    from xmsec.runtime.retry import retry as again

    with opened(home, write=True) as here:
        letters = [one for one in here.store.dead(stream) if one.leg in LEGS]
        yield from again(here.rig, letters, _held(here, letters, paths), now())


def _on_kafka(given: Settings, stream: str | None) -> Listed:
    from xmsec.cli.kafka import named
    from xmsec.runtime.faust.dead import letters, present
    from xmsec.runtime.refused import LEGS
    from xmsec.store.rows import dead_row

    cluster = named(given, None)
    found = letters(cluster, stream)
    told = []
    for one, is_there in zip(found.kept, present(cluster, found.kept), strict=True):
        told.append({**dead_row(one), "retry": "yes" if is_there else "gone" if one.leg in LEGS else "no"})
    return told, found.totals, found.sent


def _sent_again(given: Settings, stream: str | None) -> Iterator[tuple[Rejected, Fate]]:
    from xmsec.cli.home import deployment_of, key_of
    from xmsec.cli.kafka import named
    from xmsec.runtime.faust.dead import letters
    from xmsec.runtime.faust.dead import retry as again

    cluster = named(given, None)
    yield from again(cluster, deployment_of(given, key_of(given, create=False)).road, letters(cluster, stream))
