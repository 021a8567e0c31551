"""`xmsec content`: what workers go by, told to all of them at once over the control topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from xmsec.cli.options import Home, Output, example
from xmsec.model.errors import PolicyError

if TYPE_CHECKING:
    from xmsec.classify.epochs import Keyring
    from xmsec.cli.settings import Settings
    from xmsec.runtime.assemble import Deployment
    from xmsec.runtime.faust.topics import Cluster
    from xmsec.runtime.releases import Named, Workshop

app = typer.Typer(help="What workers go by: publish it, see what was published.", no_args_is_help=True)

COLUMNS = {name: name for name in ("release", "published", "files", "ledger", "keys", "state")}


@app.command("publish", epilog=example("xmsec content publish"))
def publish(home: Home = None) -> None:
    """Tell every worker this home's content, models, ledger and keys: they go by them from their next records on.

    Nothing is restarted and no window is lost. Content that lint refuses is not published.
    """
    import tempfile

    from xmsec.cli.home import key_of
    from xmsec.cli.kafka import cluster
    from xmsec.cli.output import write
    from xmsec.cli.settings import settings
    from xmsec.runtime.releases import Workshop

    given = settings(home)
    keyring = key_of(given, create=False)
    _lint(given)
    to = cluster(given, {})
    with tempfile.TemporaryDirectory() as folder:
        for line in _published(given, keyring, to, Workshop(Path(folder), given.home / "cache", given.zone)):
            write(line)


def _lint(given: Settings) -> None:
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import remark
    from xmsec.runtime.checked import bench, issues
    from xmsec.runtime.contents import gather

    found = issues(bench(gather(content_dirs(given)), given.zone, given.home / "cache"))
    errors = [one for one in found if one.severity == "error"]
    for one in errors:
        remark(f"xmsec: {one}")
    if errors:
        what = f"{len(errors)} errors in the content: nothing was published"
        raise PolicyError(what, where="content publish", remedy="correct them; see xmsec detectors lint")


def _published(given: Settings, keyring: Keyring, to: Cluster, workshop: Workshop) -> Sequence[str]:
    """Publish unless nothing changed; return what to say of it. Raises PolicyError when it would not load at a worker."""
    from xmsec.cli.home import content_dirs, now
    from xmsec.content.recipes import load_recipes
    from xmsec.model.errors import ContentError
    from xmsec.runtime.faust.control import CONTROL
    from xmsec.runtime.faust.control import publish as send
    from xmsec.runtime.releases import KEPT, Release, changes, gathered, number_at, opened, sealed

    dirs = content_dirs(given)
    before = _known(keyring, to)
    newest = before[-1] if before else None
    files = gathered(dirs, given.home, load_recipes(dirs)[0].values(), given.zone)
    if newest and (newest.release.files, newest.release.key_check) == (files, keyring.check):
        return [f"{newest.name} already says all this"]
    moment = now()
    number = number_at(moment, newest.release.number if newest else 0)
    name, value = sealed(Release(number, moment, keyring.check, files), keyring)
    try:
        deployment = workshop.load(opened(value, keyring, now()), keyring)
    except ContentError as error:
        raise PolicyError(f"nothing was published: {error.what}", where=error.where, remedy="correct it") from error
    was = _loaded(workshop, newest, keyring)
    send(to, name, value, [one.name for one in before[: -KEPT + 1]])
    if next(one for one in _known(keyring, to) if one.release.number == number).name != name:
        raise PolicyError(f"another release {number} was published meanwhile", where=to.topic(CONTROL), remedy="publish again")
    return [name, *changes(was, deployment)]


def _loaded(workshop: Workshop, named: Named | None, keyring: Keyring) -> Deployment | None:
    """Return what was gone by so far; None when there was nothing, or this version of xmsec cannot load it."""
    from xmsec.model.errors import ContentError

    try:
        return workshop.load(named, keyring) if named else None
    except ContentError:
        return None


def _known(keyring: Keyring, to: Cluster) -> list[Named]:
    """Return what was published and signed by this deployment, in the order of its numbers, of one number the first."""
    from xmsec.cli.home import now
    from xmsec.cli.output import remark
    from xmsec.model.errors import ConfigError
    from xmsec.runtime.faust.control import CONTROL, published
    from xmsec.runtime.releases import opened

    values = published(to)
    if values is None:
        where, remedy = to.access.at(to.bootstrap), "run `xmsec topics ensure`, or see docs/kafka.md for its rights"
        raise ConfigError(f'no topic "{to.topic(CONTROL)}" that this login sees', where=where, remedy=remedy)
    found: dict[int, Named] = {}
    for value in values:
        try:
            named = opened(value, keyring, now())
        except PolicyError as error:
            remark(f"xmsec: {error}")
        else:
            found.setdefault(named.release.number, named)
    return [found[number] for number in sorted(found)]


@app.command("status", epilog=example("xmsec content status"))
def status(home: Home = None, form: Output = None) -> None:
    """List what was published: the newest is what workers go by, earlier ones are kept for what is still under way."""
    from xmsec.cli.home import key_of
    from xmsec.cli.kafka import cluster
    from xmsec.cli.output import rows
    from xmsec.cli.settings import settings

    given = settings(home)
    found = _known(key_of(given, create=False), cluster(given, {}))
    rows([_row(named, newest=named is found[-1]) for named in found], form, COLUMNS)


def _row(named: Named, *, newest: bool) -> Mapping[str, Any]:
    release = named.release
    ledger = [int(Path(name).stem) for name in release.files if name.startswith("ledger/")]
    return {
        "release": named.name,
        "published": release.published,
        "files": len(release.files),
        "ledger": ledger[0] if ledger else 0,
        "keys": release.key_check,
        "state": "newest" if newest else "kept",
    }
