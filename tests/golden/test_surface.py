"""What others build on, as it was agreed: a person reads the diff, `make golden` writes it anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.surface import commands, names, routes

KEPT: dict[str, Callable[[], list[str]]] = {
    "commands": lambda: sorted(command.usage for command in commands()),
    "names": lambda: [f"xmsec: {', '.join(names()) or 'nothing to import from its top'}"],
    "routes": lambda: list(routes()),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_others_build_on_is_as_it_was_agreed(what: str, golden: bool) -> None:
    path = Path(__file__).with_name(f"{what}.txt")
    told = "\n".join(KEPT[what]()) + "\n"
    if golden:
        path.write_text(told)
    assert told == path.read_text()


def test_every_command_says_what_it_does_and_how_it_is_typed() -> None:
    bare = [one.name for one in commands() if not one.help or not one.example.startswith(("Example: xmsec ", "Example: "))]
    assert not bare
    foreign = [one.name for one in commands() if f"xmsec {one.name}" not in one.example]
    assert not foreign
