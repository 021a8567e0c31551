"""What a scenario file says: a simulated system's streams, its actors and what they do, its incidents and their truth.

Texts of lines are templates: `{subject.id}` stands for an attribute of something drawn, `{account}` for one of the actor's own,
`{n}` for the repetition, `{time}` and its kin for the moment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

import msgspec

from xmsec.content.streams import Title
from xmsec.model.types import KeyKind

Scalar = str | int | float | bool
Name = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Hours = Annotated[tuple[float, ...], msgspec.Meta(min_length=24, max_length=24)]
Days = Literal["workday", "weekend", "every"]

SLOT = re.compile(r"\{([a-z_]+(?:\.[a-z_]+)?)\}")
KINDS: Mapping[str, frozenset[str]] = {  # what can be drawn, and which attributes it has
    "person": frozenset({"id", "name", "mobile", "email", "plate", "plate_url", "card"}),
    "firm": frozenset({"id", "name", "mobile"}),
    "certificate": frozenset({"id"}),
    "case": frozenset({"number", "trace"}),
}
ACTOR = frozenset({"account", "address", "region", "agent", "department", "role", "n"})
MOMENT = frozenset({"time", "epoch", "date"})  # in the stream's own form; seconds with milliseconds; local day, 20261012


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A value that is drawn for each line: a whole number `between` two, or one `pick` by its weight.

    decimals: how many of the number's last digits stand behind a point (seconds from milliseconds: 3).
    """

    between: tuple[int, int] | None = None
    pick: dict[str, float] = {}
    decimals: int = 0


Value = Scalar | Choice


class StreamUse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A stream that the system writes: its id, its file, its native form, and what every line says unless a step says else.

    fields: in the order in which a JSON record names them; `pgaudit` has its own columns.
    """

    stream: Name
    file: Name
    format: Literal["json", "pgaudit"]
    fields: dict[Name, Value]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where actors come from. network: CIDR; shared: all members come from its first address (NAT)."""

    network: Name
    region: str = ""
    shared: bool = False


class Roaming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How members change their address within a session, as telephones do: chance a step, and the carrier's network."""

    network: Name
    chance: Share


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Actors of one kind.

    account: template with `{member}`; empty: they have none. scale: whether `--events` changes their number (`least` at
    least). Life is one of: `sessions` a member and working day along `rhythm` (weekends by the factor `weekend`), `every_s`,
    or `at` hours of each day. does: behaviours by weight. person: whether a member is a person that the ledger knows.
    """

    title: Title
    count: Positive
    role: Name
    account: str = ""
    departments: tuple[Name, ...] = ()
    places: Annotated[tuple[Place, ...], msgspec.Meta(min_length=1)]
    roaming: Roaming | None = None
    agents: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1)]
    scale: bool = True
    least: Positive = 1
    sessions: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    rhythm: str = ""
    weekend: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    every_s: Positive | None = None
    at: tuple[float, ...] = ()
    does: dict[Name, float]
    person: bool = True


class Draw(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that a behaviour is about.

    by: `any` of its kind; `self`, the actor's own; `next`, one after the other by repetition (who enumerates); of: belonging to
    another draw, so that it is the same one whenever that one is.
    """

    kind: Name
    by: Literal["any", "self", "next"] = "any"
    of: str | None = None


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One act: after a pause, with a chance, some times over; it writes a line to each stream named. redraw: anew each time."""

    lines: Annotated[dict[Name, dict[Name, Value]], msgspec.Meta(min_length=1)]
    after_s: tuple[float, float] = (0.0, 0.0)
    chance: Share = 1.0
    times: tuple[int, int] = (1, 1)
    redraw: tuple[str, ...] = ()


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an actor does in one session."""

    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    draw: dict[Name, Draw] = {}


class Lapse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A use without authority. dataset: what is used; modes, one of which is drawn: no grant at all, or one that ended."""

    dataset: Name
    modes: Annotated[tuple[Literal["none", "expired"], ...], msgspec.Meta(min_length=1)]


class Happening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An incident, or an oddity that must stay silent; who, when and how much are drawn from the seed.

    expect: detectors that must find it. day, days: which days after the training days, and how many in a row (no two
    incidents draw the same working day, while days last). at: local hour of its beginning; lasts_s; count: sessions of `does` a
    day, spread over that time. places: addresses that its sessions take in turn (`home` is the actor's own).
    silences: streams of which one says nothing meanwhile. rates: factors for whole groups meanwhile. lapse: its grant.
    group: the oddity is this group's whole life.
    """

    name: Name
    title: Title
    expect: tuple[Name, ...] = ()
    entity: KeyKind = "user"
    stream: str = ""
    actors: str = ""
    does: str = ""
    day: Days = "workday"
    days: Positive = 1
    at: tuple[float, float] = (9.0, 9.0)
    lasts_s: tuple[Positive, Positive] = (3600, 3600)
    count: tuple[Positive, Positive] = (1, 1)
    places: tuple[Place | Literal["home"], ...] = ()
    silences: tuple[Name, ...] = ()
    rates: dict[Name, float] = {}
    lapse: Lapse | None = None
    group: str = ""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One simulated system. start: its first local day, a Monday; train_days: how long nothing happens, for models to learn.

    events: about how many lines it gives as written. ledger: what the ledger knows, in the ledger's own form; the people of
    the groups are added. limits: what it does not show.
    """

    id: Name
    title: Title
    system: Name
    zone: Name
    start: date
    days: Positive
    train_days: Positive
    rhythms: dict[Name, Hours]
    streams: Annotated[dict[Name, StreamUse], msgspec.Meta(min_length=1)]
    groups: Annotated[dict[Name, Group], msgspec.Meta(min_length=1)]
    behaviours: Annotated[dict[Name, Behaviour], msgspec.Meta(min_length=1)]
    incidents: tuple[Happening, ...] = ()
    oddities: tuple[Happening, ...] = ()
    ledger: dict[str, Any] = {}
    limits: tuple[Name, ...] = ()
