"""Which datasets an event touches, and in which lifecycle stage: a stream's rules, made ready once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xmsec.content.streams import DatasetRule, Scalar, Stream
from xmsec.content.wildcard import Test, any_of
from xmsec.model.types import Fields, Stage
from xmsec.parse.percent import decoded

Judge = Callable[[Fields], tuple[tuple[str, ...], Stage | None]]


def dataset_name(namespace: str, name: str) -> str:
    """Join an OpenLineage namespace and name, decoded and cleaned as every text of a record.

    >>> dataset_name("postgres://db:5432", "people.public.person")
    'postgres://db:5432/people.public.person'
    """
    return decoded(name if not namespace else f"{namespace.rstrip('/')}/{name.lstrip('/')}")


def judge_of(stream: Stream) -> Judge:
    """Make a function of an event's fields that tells its datasets, in the rules' order, and its stage."""
    rules = [(_conditions(rule), rule.dataset, rule.stage) for rule in stream.datasets]
    usual = stream.stage

    def judge(fields: Fields) -> tuple[tuple[str, ...], Stage | None]:
        datasets: dict[str, None] = {}
        stage: Stage | None = None
        for conditions, dataset, rule_stage in rules:
            if all(_holds(fields.get(field), test) for field, test in conditions):
                if dataset is not None:
                    datasets[dataset] = None
                stage = stage or rule_stage
        return tuple(datasets), stage or usual

    return judge


def _holds(value: Any, test: Test) -> bool:
    if isinstance(value, str):
        return test(value)
    if value is None:
        return False
    if isinstance(value, list):
        return any(_holds(item, test) for item in value)
    return test(_written(value))


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _conditions(rule: DatasetRule) -> Sequence[tuple[str, Test]]:
    return [(field, _any_of(wanted if isinstance(wanted, list) else [wanted])) for field, wanted in rule.when.items()]


def _any_of(wanted: Sequence[Scalar]) -> Test:
    return any_of([_written(value) for value in wanted])
