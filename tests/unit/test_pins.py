"""Packages are pinned, by hashes, to versions without known vulnerabilities, and nothing else is installed."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
_PIN = re.compile(
    r"^([A-Za-z0-9-]+)==([0-9.]+(?:post[0-9]+)?)(?: ; [^\n\\]+)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)",
    re.M,
)
#: What a deploy installs: each package at one version, with how many hashes of its files.
LOCK = {
    name: (version, hashes.count("--hash"))
    for name, version, hashes in _PIN.findall((ROOT / "requirements.txt").read_text())
}
PINS = {name: version for name, (version, _) in LOCK.items()}
#: What of it is asked for by name, and not by something else that is.
DIRECT = [
    Requirement(line)
    for line in (ROOT / "requirements.in").read_text().splitlines()
    if "python_full_version" not in line  # what another one asks for, of an older Python
]
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
    assert {wanted.name: str(wanted.specifier) for wanted in DIRECT}.items() <= {
        name: f"=={version}" for name, version in PINS.items()
    }.items()


def test_every_line_is_a_pin_with_hashes_or_a_comment() -> None:
    """Nothing is installed that is not known by its hash, and no index or option stands in the file."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not re.match(r" *#| +--hash=sha256:", line)]
    assert len(pins) == len(LOCK)
    assert all(count >= 1 for _, count in LOCK.values())


def test_what_is_installed_asks_for_nothing_else() -> None:
    """Each package that a pinned one needs is pinned, too; on Python 3.11.0, too."""
    known = {name.lower().replace("_", "-") for name in PINS}
    for wanted in DIRECT:
        missing = {name for name in needed(wanted.name, wanted.extras) if name not in known}
        assert missing == set()


def needed(name: str, extras: set[str]) -> set[str]:
    """What a package that is installed here asks for on Linux, at any depth."""
    found: set[str] = set()
    for text in metadata.requires(name) or []:
        wanted = Requirement(text)
        if any(applies(wanted, version, extra) for version in ("3.11.0", "3.14.0") for extra in ("", *extras)):
            found |= {wanted.name.lower().replace("_", "-").replace(".", "-")}
            found |= set() if wanted.name == "async-timeout" else needed(wanted.name, wanted.extras)
    return found


def applies(wanted: Requirement, version: str, extra: str) -> bool:
    """Whether a requirement holds on Linux with this version of Python."""
    where = {"python_version": version.rpartition(".")[0], "python_full_version": version, "extra": extra}
    return wanted.marker is None or wanted.marker.evaluate({**where, "sys_platform": "linux"})


def test_who_installs_the_server_gets_what_a_deploy_runs_or_its_like() -> None:
    """The wheel's extras for the server ask for the packages that are asked for by name, and take their pins."""
    extras = PROJECT["optional-dependencies"]
    asked = {wanted.name: wanted.specifier for wanted in map(Requirement, extras["server"] + extras["redis"])}
    assert asked.keys() == {wanted.name for wanted in DIRECT}
    assert [wanted.name for wanted in DIRECT if not asked[wanted.name].contains(PINS[wanted.name])] == []


def test_without_extras_only_what_the_command_needs_is_installed() -> None:
    """Who installs the client alone gets click, for the command, and no server."""
    assert [Requirement(wanted).name for wanted in PROJECT["dependencies"]] == ["click"]
