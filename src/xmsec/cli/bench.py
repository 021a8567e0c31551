"""`xmsec bench`: how fast the road is, and how well the content finds what is known to be there."""

from __future__ import annotations

from typing import Annotated

import typer

from xmsec.cli.options import Home, example

app = typer.Typer(help="Measure: speed of the road, quality of detection. JSON on stdout.", no_args_is_help=True)


@app.command("pipeline", epilog=example("xmsec bench pipeline --events 100000 --memory 1000000"))
def pipeline(
    events: Annotated[int, typer.Option("--events", help="Events of a run; each mix has five.", min=1)] = 60_000,
    memory: Annotated[
        int, typer.Option("--memory", help="Events, each with a new key, while memory is watched.", min=2)
    ] = 200_000,
    home: Home = None,
) -> None:
    """Measure the road: three mixes of traffic, microseconds a leg, two yardsticks in the same process, memory a key."""
    from xmsec.bench.pipeline import Asked, pipeline
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import encode, remark, write
    from xmsec.cli.settings import settings

    given = settings(home)
    write(encode(pipeline(content_dirs(given), given.home / "cache", given.zone, Asked(events, memory), remark)))


@app.command("network", epilog=example("xmsec bench network --events 100000"))
def network(
    events: Annotated[int, typer.Option("--events", help="Events of a run.", min=1)] = 60_000,
    home: Home = None,
) -> None:
    """Measure what records over HTTP cost: taken in alone, and the whole road behind it beside the road over a file."""
    from xmsec.bench.network import network_costs
    from xmsec.bench.pipeline import Asked
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import encode, remark, write
    from xmsec.cli.settings import settings

    given = settings(home)
    write(encode(network_costs(content_dirs(given), given.home / "cache", given.zone, Asked(events, 0), remark)))


@app.command("kafka", epilog=example("xmsec bench kafka --events 100000 --keys 1000000 --restarts 20"))
def kafka(
    events: Annotated[int, typer.Option("--events", help="Events of a run; 0 leaves speed out.", min=0)] = 60_000,
    keys: Annotated[int, typer.Option("--keys", help="Keys to which a worker comes back.", min=0)] = 0,
    restarts: Annotated[int, typer.Option("--restarts", help="Workers that are started and told to end.", min=0)] = 0,
    memory: Annotated[int, typer.Option("--memory", help="Events while the memory of one worker is watched.", min=0)] = 0,
    home: Home = None,
) -> None:
    """Measure workers on this Kafka and Elasticsearch, beside raw limits; with topics and indices of its own, deleted after."""
    from functools import partial

    from xmsec.bench.kafka.measure import Asked, Given, kafka
    from xmsec.cli.elastic import elastic
    from xmsec.cli.home import content_dirs
    from xmsec.cli.kafka import cluster
    from xmsec.cli.output import encode, remark, write
    from xmsec.cli.settings import settings

    given = settings(home)
    where = Given(cluster(given, {}), partial(elastic, given), content_dirs(given), given.zone, given.home / "cache")
    write(encode(kafka(where, Asked(events, keys, restarts, memory), remark)))


@app.command("console", epilog=example("xmsec bench console --findings 1000000 --clients 1,50"))
def console(
    findings: Annotated[int, typer.Option("--findings", help="Findings behind it.", min=1)] = 1_000_000,
    clients: Annotated[str, typer.Option("--clients", help="Pages that wait for news, one run a number.")] = "1,50",
    seconds: Annotated[float, typer.Option("--seconds", help="How long news arrive in a run.", min=1)] = 60.0,
    home: Home = None,
) -> None:
    """Measure the console in a home of its own, or over indices of its own where XMSEC_ES_URL is set: pages, live news."""
    from xmsec.bench.console.measure import Asked, console
    from xmsec.cli.crowded import crowded
    from xmsec.cli.output import encode, remark, write
    from xmsec.cli.settings import settings

    asked = Asked(findings, _numbers(clients, "--clients", "write 1,50"), seconds)
    with crowded(settings(home)) as made:
        write(encode(console(made, asked, remark)))


@app.command("detection", epilog=example("xmsec bench detection --seeds 11,12,13"))
def detection(
    scenario: Annotated[str | None, typer.Option("--scenario", help="Names, separated by commas.", show_default="all")] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="Numbers, separated by commas.")] = "11,12,13,14,15",
    events: Annotated[int, typer.Option("--events", help="About how many lines a system and seed.", min=1)] = 60_000,
    home: Home = None,
) -> None:
    """Simulate, learn from the first week, watch the second, and compare with the truth: one JSON line a seed."""
    from xmsec.bench.detection import detection
    from xmsec.cli.home import content_dirs
    from xmsec.cli.output import encode, progress, remark, write
    from xmsec.cli.scenarios import scenarios_of
    from xmsec.cli.settings import settings

    dirs = content_dirs(settings(home))
    wanted = scenarios_of(dirs, scenario)
    numbers = _numbers(seeds, "--seeds", "write 11,12,13")
    with progress("bench detection", len(numbers)) as bar:
        for done, seed in enumerate(numbers, 1):
            judged = detection(dirs, wanted, seed, events)
            write(encode(judged))
            found = sum(bool(one.found) for one in judged.scenarios)
            remark(f"seed {seed}: {found} of {len(judged.scenarios)} incidents, {judged.false_per_day} false alarms a day")
            bar.to(done)


def _numbers(given: str, where: str, remedy: str) -> list[int]:
    from xmsec.model.errors import ConfigError

    try:
        return [int(one) for one in given.split(",")]
    except ValueError as error:
        raise ConfigError("not numbers", where=where, remedy=remedy) from error
