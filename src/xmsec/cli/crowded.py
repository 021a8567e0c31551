"""What `xmsec bench console` measures on: a home of its own, or indices of its own beside others', both gone afterwards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from xmsec.bench.console.crowd import Some
from xmsec.bench.console.measure import Given
from xmsec.model.ports import Outcome, Query, Reader
from xmsec.model.types import Revisions

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings

_WHO = "bench"
_ROWS = 50  # of a page


@contextmanager
def crowded(given: Settings) -> Iterator[Given]:
    """Make the place, with somebody who is signed in."""
    from xmsec.cli.home import key_of
    from xmsec.cli.settings import settings

    with TemporaryDirectory(prefix="xmsec-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        here = settings(home)
        key_check = key_of(here, create=True).check
        secret = _signed_in(home)
        with _indices(given, key_check, home, secret) if given.on_elastic else _embedded(here, home, secret) as made:
            yield made


def _signed_in(home: Path) -> str:
    from xmsec.cli.rooms import desk_of
    from xmsec.console.access import Grant
    from xmsec.console.secret import made

    with desk_of(home) as kept:
        kept.users.add(_WHO, made(), [Grant("admin")], _WHO)
        return kept.sessions.open(_WHO)


@contextmanager
def _embedded(here: Settings, home: Path, secret: str) -> Iterator[Given]:
    from xmsec.store.read import SqliteReader
    from xmsec.store.sqlite import SqliteStore, connect

    def put(some: Some) -> None:
        store.commit([_outcome(some)])

    tokens = home.parent / "tokens"  # so that `run` has something to wait for
    tokens.touch()
    with closing(SqliteStore(here.store_path, {})) as store, closing(connect(here.store_path)) as connection:
        yield Given(
            "sqlite",
            _command("run", home),
            {"XMSEC_INGEST_TOKENS": str(tokens)},
            secret,
            put,
            _latest(SqliteReader(connection)),
        )


@contextmanager
def _indices(given: Settings, key_check: str, home: Path, secret: str) -> Iterator[Given]:
    from functools import partial

    from xmsec.bench.indices import indices
    from xmsec.cli.elastic import elastic
    from xmsec.store import elastic as writer
    from xmsec.store.elastic_read import ElasticReader

    prefix = f"xmsec-bench-{token_hex(4)}"
    with indices(partial(elastic, given), key_check, prefix), elastic(given) as client:

        def put(some: Some) -> None:
            writer.index(client, some.findings, some.incidents, prefix=prefix)

        reader = ElasticReader(client, prefix)
        yield Given("elasticsearch", _command("console", home), {"XMSEC_ES_PREFIX": prefix}, secret, put, _latest(reader))


def _command(name: str, home: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", "from xmsec.cli.entry import main; main()", name, "--port", "0", "--home", str(home))


def _latest(reader: Reader) -> Callable[[], object]:
    return lambda: reader.page(Query("findings", limit=_ROWS))


def _outcome(some: Some) -> Outcome:
    """Write findings as a batch would give them that carried no events."""
    return Outcome(
        passed=(),
        findings=some.findings,
        incidents=some.incidents,
        intents=(),
        rejected=(),
        counts={},
        proposals={},
        clocks={},
        states={},
        watermark=None,
        revisions=Revisions("", 0),
    )
