"""OpenLineage run events: which job read and wrote which datasets, and how it ended."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any

from xmsec.content.streams import Stream
from xmsec.model.errors import InputError
from xmsec.model.types import Fields, Stage
from xmsec.parse.dataset import dataset_name
from xmsec.parse.json_read import read_object
from xmsec.parse.reading import Format, Reading
from xmsec.parse.times import bad_time, iso_time

_OUTCOME_BY_TYPE = {"COMPLETE": "success", "FAIL": "failure", "ABORT": "failure"}
_TYPES = frozenset(("START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"))  # of the specification
DATASETS = 1_000  # of one run; a record that names more is refused


def openlineage(stream: Stream, zone: tzinfo) -> Format:
    """Make the format `openlineage`.

    The stage, where no rule of the stream gives one: reading alone is use, writing alone is store, both is use within one
    namespace and transmit between two.
    """
    when = iso_time(zone)

    def read(text: str, received: datetime) -> Reading:
        document = read_object(text)
        kind, moment = document.get("eventType"), document.get("eventTime")
        run, job = document.get("run"), document.get("job")
        if kind not in _TYPES or not isinstance(run, dict) or not isinstance(job, dict):
            raise InputError("not-a-run-event")
        if not isinstance(moment, str):
            raise bad_time()
        inputs, outputs = _datasets(document.get("inputs")), _datasets(document.get("outputs"))
        fields: Fields = {"event.action": kind.lower()}
        if kind in _OUTCOME_BY_TYPE:
            fields["event.outcome"] = _OUTCOME_BY_TYPE[kind]
        _put(fields, "openlineage.run.id", run.get("runId"))
        _put(fields, "openlineage.job.namespace", job.get("namespace"))
        _put(fields, "openlineage.job.name", job.get("name"))
        _put(fields, "openlineage.producer", document.get("producer"))
        _put(fields, "db.query.text", _facet(job.get("facets"), "sql", "query"))
        _put(fields, "error.message", _facet(run.get("facets"), "errorMessage", "message"))
        _put_rows(fields, document.get("outputs"))
        names: dict[str, None] = {}
        for field, found in (("openlineage.inputs", inputs), ("openlineage.outputs", outputs)):
            if found:
                fields[field] = [name for _, name in found]
                names |= dict.fromkeys(fields[field])
        return Reading(when(moment), fields, tuple(names), _stage(inputs, outputs))

    return read


def _datasets(found: Any) -> list[tuple[str, str]]:
    """Return namespace and full name of each; what has no name is left out."""
    if not isinstance(found, list):
        return []
    if len(found) > DATASETS:
        raise InputError("too-many-datasets")
    pairs = [(one.get("namespace"), one.get("name")) for one in found if isinstance(one, dict)]
    return [
        (space, dataset_name(space, name)) for space, name in pairs if isinstance(space, str) and isinstance(name, str) and name
    ]


def _stage(inputs: list[tuple[str, str]], outputs: list[tuple[str, str]]) -> Stage | None:
    if not outputs:
        return "use" if inputs else None
    if not inputs:
        return "store"
    return "use" if {space for space, _ in outputs} <= {space for space, _ in inputs} else "transmit"


def _facet(facets: Any, *path: str) -> Any:
    for step in path:
        facets = facets.get(step) if isinstance(facets, dict) else None
    return facets


def _put(fields: Fields, name: str, value: Any) -> None:
    if isinstance(value, str) and value:
        fields[name] = value


def _put_rows(fields: Fields, outputs: Any) -> None:
    counts = [_facet(one, "outputFacets", "outputStatistics", "rowCount") for one in outputs or () if isinstance(one, dict)]
    known = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 1 << 48]
    if known:
        fields["openlineage.rows"] = sum(known)
