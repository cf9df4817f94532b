import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PINS = dict(
    re.fullmatch(r"([A-Za-z0-9-]+)(?:\[\w+\])?==([0-9.]+)", line).groups()  # type: ignore[union-attr,misc]
    for line in (ROOT / "requirements.txt").read_text().split()
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
#: The first version without each known vulnerability, and the vulnerability.
CLEAR = [
    ("Flask", "3.1.1", "CVE-2025-47278"),
    ("gevent", "23.9.0", "CVE-2023-41419"),
    ("gunicorn", "23.0.0", "CVE-2024-6827"),
    ("redis", "4.5.5", "CVE-2023-28858, CVE-2023-28859"),
    ("requests", "2.32.4", "CVE-2024-47081"),
    ("urllib3", "2.6.3", "CVE-2025-66418, CVE-2025-66471, CVE-2026-21441"),
    ("Werkzeug", "3.1.5", "CVE-2025-66221, CVE-2026-21860"),
]


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare."""
    return tuple(int(part) for part in version.split("."))


@pytest.mark.parametrize(("package", "clear", "why"), CLEAR)
def test_a_pin_is_clear_of_known_vulnerabilities(package: str, clear: str, why: str) -> None:
    """Each pinned version is one in which the known vulnerabilities of its package are mended."""
    assert numbers(PINS[package]) >= numbers(clear), why


def test_everything_is_pinned_exactly() -> None:
    """A deploy installs the versions that were tested."""
    assert set(PINS) >= {"Flask", "gevent", "gunicorn", "requests", "urllib3", "Werkzeug"}


def test_who_installs_the_server_gets_what_a_deploy_runs_or_its_like() -> None:
    """The wheel's extras for the server ask for the packages that are pinned, and each pin is one that they take."""
    extras = PROJECT["optional-dependencies"]
    asked = {wanted.name: wanted.specifier for wanted in map(Requirement, extras["server"] + extras["redis"])}
    assert asked.keys() == PINS.keys()
    assert [name for name, version in PINS.items() if not asked[name].contains(version)] == []


def test_without_extras_only_what_the_command_needs_is_installed() -> None:
    """Who installs the client alone gets click, for the command, and no server."""
    assert [Requirement(wanted).name for wanted in PROJECT["dependencies"]] == ["click"]
