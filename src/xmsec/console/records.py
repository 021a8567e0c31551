"""What the API takes and gives, as types: requests are read by them, and its description is made of them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from xmsec.model.clock import from_rfc3339
from xmsec.model.errors import ConfigError, InputError
from xmsec.model.types import Event, Finding, FindingKind, Incident, Label, Level, Severity, Status
from xmsec.runtime.approval import LONGEST

PAGE_ROWS, MOST_ROWS = 100, 1_000
T = TypeVar("T", bound=msgspec.Struct)
Word = Annotated[str, Meta(min_length=1, max_length=512)]
Words = Annotated[tuple[Word, ...], Meta(max_length=50)]
Names = Annotated[tuple[Word, ...], Meta(min_length=1, max_length=500)]
Entries = Annotated[float, Meta(ge=1, le=1_000_000, multiple_of=1)]  # JSON has no whole numbers: 3.0 is 3
Asks = Literal["approval", "manual", "unknown"]
WRITTEN = r"[^\s\x00-\x1f\x85\ufeff]"  # not blank: what some take for a space and others do not is none of it
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}", extra_json_schema={"format": "date-time"})]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parameters of a list that pages by cursor. after: the `next` of the page before, unchanged."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = PAGE_ROWS
    after: Word | UnsetType = UNSET


class CoverageAsked(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Columns with the values that pass, words that all occur (q), a span of time [since, until)."""

    severity: Annotated[tuple[Severity, ...], Meta(max_length=5)] = ()
    system: Words = ()
    stream: Words = ()
    detector: Words = ()
    state: Annotated[tuple[Literal["open", "final"], ...], Meta(max_length=2)] = ()
    status: Annotated[tuple[Status, ...], Meta(max_length=4)] = ()
    assignee: Words = ()
    incident: Words = ()
    entity_type: Words = msgspec.field(default=(), name="entity.type")
    entity_id: Words = msgspec.field(default=(), name="entity.id")
    since: Time | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    q: Annotated[str, Meta(max_length=400)] = ""


class FindingsAsked(CoverageAsked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, of findings of every kind."""

    kind: Annotated[tuple[FindingKind, ...], Meta(max_length=8)] = ()


class IncidentsAsked(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Columns with the values that pass, words that all occur (q), a span of time [since, until) in which they were opened."""

    severity: Annotated[tuple[Severity, ...], Meta(max_length=5)] = ()
    system: Words = ()
    status: Annotated[tuple[Status, ...], Meta(max_length=4)] = ()
    assignee: Words = ()
    entity_type: Words = msgspec.field(default=(), name="entity.type")
    entity_id: Words = msgspec.field(default=(), name="entity.id")
    since: Time | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    q: Annotated[str, Meta(max_length=400)] = ""


class LabelsAsked(Asked, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Columns with the values that pass."""

    dataset: Words = ()
    system: Words = ()
    type: Words = ()
    grade: Annotated[tuple[Level, ...], Meta(max_length=6)] = ()


class Triage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What changes of a finding or an incident (RFC 7396): what is left out stays; assignee null: nobody."""

    status: Status | UnsetType = UNSET
    assignee: Annotated[str, Meta(min_length=1, max_length=64)] | UnsetType | None = UNSET


class Remark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of an incident."""

    text: Annotated[str, Meta(min_length=1, max_length=4_000, pattern=WRITTEN)]


class Parts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Incidents that become part of one."""

    incidents: Names


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings that are split off, or put into an incident."""

    findings: Names


class Begin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The playbook that a run begins of."""

    playbook: Word


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word on the step that a run waits with.

    entries: of the run when it was read, so that the same word sent twice is one; seen: of a step of which nobody knows whether
    it was done (asks: unknown), what its target shows.
    """

    step: Word
    entries: Entries
    seen: Literal["done", "not-done"] | UnsetType = UNSET


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the step that a run waits with shall not be done; its run goes on as after a failure. entries: as of an approval."""

    step: Word
    entries: Entries
    why: Annotated[str, Meta(min_length=1, max_length=LONGEST, pattern=WRITTEN)]


class Resumption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing: a run that was interrupted goes on."""


class Said(msgspec.Struct, frozen=True):
    """A comment that was recorded."""

    id: str
    incident: str
    by: str
    at: datetime
    text: str


class EventRecord(Event, frozen=True, tag=False):
    """A tokened event; `fields` are nested ECS."""


class FindingRecord(Finding, frozen=True, kw_only=True, tag=False):
    """A finding, with what grouping and people say of it."""

    evidence: tuple[EventRecord, ...] = ()
    incident: str | None
    status: Status
    assignee: str | None


class IncidentRecord(Incident, frozen=True, kw_only=True):
    """An incident, with what people say of it. related: the other incidents of its entity."""

    related: tuple[str, ...]
    status: Status
    assignee: str | None


class Findings(msgspec.Struct, frozen=True):
    """A page of findings. next: the cursor of the following one."""

    rows: tuple[FindingRecord, ...]
    next: str | None


class Incidents(msgspec.Struct, frozen=True):
    """A page of incidents. next: the cursor of the following one."""

    rows: tuple[IncidentRecord, ...]
    next: str | None


class LabelRecord(Label, frozen=True):
    """What a field is judged to hold (field `*`: the dataset as a whole). system: whose dataset it is."""

    system: str


class Labels(msgspec.Struct, frozen=True):
    """A page of labels. next: the cursor of the following one."""

    rows: tuple[LabelRecord, ...]
    next: str | None


class Waiting(msgspec.Struct, frozen=True):
    """What a run waits for. asks: whether a step shall be done, a person does it, or it was done; role: who says so."""

    step: str
    name: str
    asks: Asks
    role: str


class RunRecord(msgspec.Struct, frozen=True):
    """A playbook run.

    doing: what comes next, `unknown` when its playbook left the content; step, by, at: of what is recorded last; entries: how
    many are recorded.
    """

    id: str
    playbook: str
    incident: str
    doing: str
    step: str
    by: str
    at: datetime
    entries: int
    waits: Waiting | None


class PlaybookRuns(msgspec.Struct, frozen=True):
    """A page of playbook runs. next: the cursor of the following one."""

    rows: tuple[RunRecord, ...]
    next: str | None


class Would(msgspec.Struct, frozen=True):
    """What one command of a playbook would do, against what, and who must approve it (`person`: carries it out)."""

    step: str
    name: str
    would: str
    against: str
    needs: str


class Rehearsal(msgspec.Struct, frozen=True):
    """A playbook for an incident, of which nothing was done. commands: none when a target has no address."""

    playbook: str
    name: str
    commands: tuple[Would, ...]


class Rehearsals(msgspec.Struct, frozen=True):
    """What an incident can be answered with; `next` is null: they come at once."""

    rows: tuple[Rehearsal, ...]
    next: None = None


class Problem(msgspec.Struct, frozen=True):
    """What is wrong (RFC 9457); quotes nothing of what was asked."""

    status: int
    detail: str


def parameters(request: Request, kind: type[T]) -> T:
    """Read a request's parameters; one that is misspelt would otherwise answer with everything. Raises ConfigError."""
    several = {field.encode_name for field in msgspec.structs.fields(kind) if field.default == ()}
    given = request.query_params
    asked: dict[str, str | list[str]] = {name: given.getlist(name) if name in several else given[name] for name in given}
    try:
        return msgspec.convert(asked, kind, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(sorted(field.encode_name for field in msgspec.structs.fields(kind)))
        raise ConfigError(f"a parameter is not as it should be: {_place(error)}", remedy=f"parameters: {names}") from error


def content(body: bytes, kind: type[T]) -> T:
    """Read a request's body. Raises InputError."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"the body is not as it should be: {_place(error)}", remedy="see /api/openapi.json") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError("the body is no JSON", remedy="see /api/openapi.json") from error


def moment(text: str | UnsetType) -> datetime | None:
    """Return a time that was asked for, if any. Raises InputError for one without an offset, or that is none."""
    return None if text is UNSET else from_rfc3339(text)


def after(asked: Asked) -> str | None:
    """Return the cursor that was asked for, if any."""
    return None if asked.after is UNSET else asked.after


def cursor(*place: str) -> str:
    """Write a place in an order, opaque to who asks."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode()


def place(asked: Asked) -> tuple[str, ...] | None:
    """Return the place after which a page begins, if one was asked for. Raises InputError for what `cursor` did not write."""
    if asked.after is UNSET:
        return None
    try:
        return msgspec.json.decode(urlsafe_b64decode(asked.after.encode()), type=tuple[str, ...])
    except (ValueError, msgspec.DecodeError) as error:
        raise InputError("bad-cursor", remedy="take it from the page before, unchanged") from error


def _place(error: msgspec.ValidationError) -> str:
    """Say where it is wrong, without what was written there."""
    text, _, place = str(error).partition(" - at ")
    return place.strip("`").removeprefix("$.") or text.partition("`")[0].strip().lower() or "body"


def chosen(asked: Asked) -> Mapping[str, tuple[str, ...]]:
    """Return column → values that pass."""
    pairs = ((field.encode_name, getattr(asked, field.name)) for field in msgspec.structs.fields(asked))
    return {name: value for name, value in pairs if isinstance(value, tuple) and value}
