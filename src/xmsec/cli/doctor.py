"""`xmsec doctor`: whether a deployment is fit to run, one line a check."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from xmsec.cli.options import Home, Output, example
from xmsec.model.errors import XmsecError

if TYPE_CHECKING:
    from xmsec.cli.settings import Settings

EXAMPLE = example("xmsec doctor --production")
FREE_BYTES = 1 << 30  # a day of 10 million events records some 500 MB
Said = Iterator[tuple[str, str]]


def doctor(
    production: Annotated[bool, typer.Option("--production", help="Also ask Kafka and Elasticsearch.")] = False,
    home: Home = None,
    form: Output = None,
) -> int:
    """Check settings, key, content, models, store, disk, and on request the servers; exit 1 when one is wrong."""
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings

    given = settings(home)
    told = []
    for name, check in _checks(production).items():
        try:
            told += [{"check": name, "state": state, "says": says} for state, says in check(given)]
        except XmsecError as error:
            told.append({"check": name, "state": "wrong", "says": str(error)})
        except ImportError as error:
            told.append(
                {"check": name, "state": "wrong", "says": f"{error.name} is not installed; pip install xmsec[kafka,elastic]"}
            )
    rows(told, form, {"check": "check", "state": "state", "says": "says"})
    return 1 if any(one["state"] == "wrong" for one in told) else 0


def _checks(production: bool) -> dict[str, Callable[[Settings], Said]]:
    checks: dict[str, Callable[[Settings], Said]] = {
        "settings": _settings,
        "key": _key,
        "content": _content,
        "store": _store,
        "disk": _disk,
    }
    return {**checks, "kafka": _kafka, "elasticsearch": _elastic} if production else checks


def _settings(given: Settings) -> Said:
    for name in type(given).model_fields:
        value = getattr(given, name)
        told = os.pathsep.join(map(str, value)) if isinstance(value, tuple) else value  # as the environment writes it
        yield "fine", f"XMSEC_{name.upper()}={'' if told is None else told}"


def _key(given: Settings) -> Said:
    from xmsec.classify.token import check_value
    from xmsec.cli.key import read_key

    yield "fine", f"{given.key_path}, check value {check_value(read_key(given.key_path))}"


def _content(given: Settings) -> Said:
    from xmsec.cli.home import content_dirs, key_of
    from xmsec.runtime.assemble import assemble

    deployment = assemble(content_dirs(given), given.home, key_of(given, create=False), given.zone)
    for problem in deployment.problems:
        yield "wrong", str(problem)
    for missing in deployment.missing:
        yield "missing", missing
    kinds = f"{len(deployment.streams)} streams, {len(deployment.files)} detectors, {len(deployment.playbooks)} playbooks"
    yield "fine", f"{kinds}, ledger revision {deployment.ledger.revision}"


def _store(given: Settings) -> Said:
    from xmsec.classify.token import check_value
    from xmsec.cli.key import read_key
    from xmsec.store.sqlite import SqliteStore

    path = given.home / "store.sqlite"
    if not path.exists():
        yield "missing", f"{path}: nothing was scanned yet"
        return
    store = SqliteStore(path, {})
    try:
        store.claim(check_value(read_key(given.key_path)))
        findings = store.connection.execute("SELECT count(*) FROM findings").fetchone()[0]
        yield "fine", f"{path}, {findings} findings"
    finally:
        store.close()


def _disk(given: Settings) -> Said:
    free = shutil.disk_usage(given.home if given.home.exists() else given.home.absolute().parent).free
    yield ("fine" if free > FREE_BYTES else "wrong"), f"{free >> 20} MiB free"


def _kafka(given: Settings) -> Said:
    from xmsec.cli.home import content_dirs
    from xmsec.content.streams import load_streams
    from xmsec.runtime.faust.topics import Cluster, describe, participants

    cluster = Cluster(given.kafka_bootstrap, tuple(sorted(load_streams(content_dirs(given))[0])))
    found = describe(cluster)
    participants(cluster, found)
    yield "fine", f"{given.kafka_bootstrap}, {len(found)} topics"


def _elastic(given: Settings) -> Said:
    from xmsec.classify.token import check_value
    from xmsec.cli.elastic import elastic
    from xmsec.cli.key import read_key
    from xmsec.store.elastic_ensure import check

    with elastic(given) as client:
        check(client, check_value(read_key(given.key_path)), given.es_prefix)
    yield "fine", f"{given.es_url}, indices {given.es_prefix}-*"
