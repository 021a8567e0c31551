"""What happens besides the quiet life: who, when and how much are drawn from the seed, and with them the truth."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import msgspec

from xmsec.content.scenario import Happening, Place, Scenario
from xmsec.model.types import Entity
from xmsec.simulate.actor import Addresses, Crowd, Member
from xmsec.simulate.behaviour import Session
from xmsec.simulate.calendar import DAY_MS, HOUR_MS, Calendar


class Fact(msgspec.Struct, frozen=True):
    """One happening as this seed has it. start, end: milliseconds; stream: the one that falls silent; mode: of its lapse."""

    happening: Happening
    entity: Entity
    start: int
    end: int
    sessions: tuple[Session, ...] = ()
    stream: str = ""
    mode: str = ""


class Casting:
    """Gives incidents days of their own and all happenings actors of their own, while there are enough of them."""

    def __init__(self, scenario: Scenario, crowds: Mapping[str, Crowd], calendar: Calendar, seed: int) -> None:
        self._scenario, self._crowds, self._seed = scenario, crowds, seed
        rng = Random(f"{seed}/casting")
        after = range(scenario.train_days, scenario.days)
        free = [calendar.local(24 * day).weekday() >= 5 for day in range(scenario.days)]
        self._days = {
            "workday": _shuffled([day for day in after if not free[day]], rng),
            "weekend": _shuffled([day for day in after if free[day]], rng),
            "every": [scenario.train_days],
        }
        most = len(scenario.incidents) + len(scenario.oddities)
        self._casts = {name: rng.sample(range(crowd.count), min(crowd.count, most)) for name, crowd in crowds.items()}

    def cast(self, number: int, happening: Happening) -> Fact:
        """Draw one happening; `number` marks its lines."""
        rng = Random(f"{self._seed}/{happening.name}")
        days = self._days[happening.day]
        day = _turn(days) if happening.expect else rng.choice(sorted(days))
        begin = day * DAY_MS + int(HOUR_MS * rng.uniform(*happening.at))
        lasts = 1000 * rng.randint(*happening.lasts_s)
        faces = self._faces(happening, rng)
        sessions: list[Session] = []
        for later in range(happening.days if happening.does else 0):
            count, series = rng.randint(*happening.count), rng.getrandbits(26)
            for turn in range(count):
                at = begin + later * DAY_MS + int(lasts * (turn + rng.random()) / count)
                sessions.append(Session(at, faces[turn % len(faces)], happening.does, number, turn, series))
        stream = rng.choice(happening.silences) if happening.silences else ""
        mode = rng.choice(happening.lapse.modes) if happening.lapse is not None else ""
        entity = self._entity(happening, faces, stream)
        start, end = (begin, begin + (happening.days - 1) * DAY_MS + lasts) if not happening.group else self._whole()
        return Fact(happening, entity, start, end, tuple(sessions), stream, mode)

    def _whole(self) -> tuple[int, int]:
        return 0, self._scenario.days * DAY_MS

    def _faces(self, happening: Happening, rng: Random) -> list[Member]:
        """Return the actor as its sessions show it in turn: at home, or from the places of the happening."""
        name = happening.actors or happening.group
        if not name:
            return []
        member = self._crowds[name].member(_turn(self._casts[name]))
        faces = []
        for place in happening.places or ("home",):
            if isinstance(place, Place):
                address = Addresses(place).address(rng.getrandbits(48))
                faces.append(msgspec.structs.replace(member, address=address, region=place.region))
            else:
                faces.append(member)
        return faces

    def _entity(self, happening: Happening, faces: list[Member], stream: str) -> Entity:
        if happening.entity == "stream":
            return Entity("stream", self._scenario.streams[stream or happening.stream].stream)
        return Entity(happening.entity, faces[0].address if happening.entity == "address" else faces[0].account)


def _shuffled(days: list[int], rng: Random) -> list[int]:
    return rng.sample(days, len(days))


def _turn(numbers: list[int]) -> int:
    """Take the first and put it behind the others."""
    numbers.append(numbers.pop(0))
    return numbers[-1]
