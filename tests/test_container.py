"""The container's files say what is there: no engine runs in tests, but what they name and run is the project's."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from http_service import PATIENCE, serve
from pixelrnn.cli import app

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICES = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def words(instruction: str) -> list[str]:
    """Of the last such instruction in the Dockerfile, which are JSON."""
    found = re.findall(rf"^{instruction} .*?(\[.*\])$", DOCKERFILE, re.MULTILINE)
    return list(json.loads(found[-1]))


def test_the_extras_that_are_installed_are_there_and_bring_no_torch() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    (named,) = re.findall(r"pip install .*\[([a-z,]+)\]", DOCKERFILE)
    for extra in named.split(","):
        assert extras[extra]
        assert not any(one.startswith(("torch", "lightning")) for one in extras[extra])


def test_what_the_package_is_built_of_is_copied() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / path).exists() for path in kept)
    built = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    metadata = (PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml")
    for path in (*built["packages"], *built["force-include"], *metadata):
        assert any(Path(path).is_relative_to(one) for one in kept)


COMMANDS = {"Dockerfile": words("CMD"), **{name: service["command"] for name, service in SERVICES.items()}}


@pytest.mark.parametrize("name", COMMANDS)
def test_its_commands_are_understood(name: str) -> None:
    command, *options = COMMANDS[name]
    parsed: Any = get_command(app).commands[command].make_context(command, options)
    assert parsed.params["address"] == "0.0.0.0"
    inside = {"serve": 8000, "app": 8501}[command]
    assert parsed.params["port"] == inside
    assert str(inside) in re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)[0].split()
    if name in SERVICES:
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{inside}:{inside}"]  # this machine alone


def test_no_one_is_root_in_it() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "pixelrnn"
    assert DOCKERFILE.index("USER pixelrnn") < DOCKERFILE.index("ENTRYPOINT")


def test_the_health_check_fails_when_the_service_does_not_answer() -> None:
    _, *check = words("HEALTHCHECK")
    with serve() as (address, process):
        command = [sys.executable, *(word.replace("http://localhost:8000", address) for word in check)]
        assert command[-1] != check[-1]
        assert subprocess.run(command, timeout=PATIENCE).returncode == 0
        process.terminate()
        process.wait(PATIENCE)
        assert subprocess.run(command, timeout=PATIENCE, stderr=subprocess.DEVNULL).returncode != 0
