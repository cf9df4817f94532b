"""Ports of protocols that are no HTTP."""

import re
from pathlib import Path

import pytest

from eventbus.core.errors import SettingsError
from eventbus.core.ports import DENIED_PORTS, port_refusal, ports_of

NONE: frozenset[int] = frozenset()


@pytest.mark.parametrize("port", [22, 23, 25, 110, 143, 465, 587, 3_306, 5_432, 6_379, 11_211])
def test_a_port_of_another_protocol_is_refused_unless_it_is_allowed(port: int) -> None:
    """The reason names the protocol, and what allows it; another one that is allowed changes nothing."""
    said = port_refusal(port, NONE) or ""
    assert said.startswith(f"Port {port} is that of {DENIED_PORTS[port]}")
    assert f"EVENTBUS_ALLOW_PORTS={port}" in said
    assert port_refusal(port, frozenset({24})) == said
    assert port_refusal(port, frozenset({port})) is None


@pytest.mark.parametrize("port", [80, 443, 3_000, 4_000, 5_000, 7_000, 8_000, 8_080, 8_443, 9_000, 9_090])
def test_ports_that_services_use_are_free(port: int) -> None:
    """Those on which HTTP is spoken, by habit or by number."""
    assert port_refusal(port, NONE) is None


def test_no_port_is_refused_that_a_system_gives_to_whoever_asks() -> None:
    """Linux takes free ports from 32768 to 60999."""
    assert not set(DENIED_PORTS) & set(range(32_768, 61_000))


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("", set()),
        (" , ", set()),
        ("25", {25}),
        (" 6379,25, ", {25, 6_379}),
        ("*", set(DENIED_PORTS)),
        ("25,*", set(DENIED_PORTS)),
    ],
)
def test_ports_are_read(text: str, ports: set[int]) -> None:
    """Comma-separated, or all."""
    assert ports_of(text) == ports


@pytest.mark.parametrize("text", ["0", "65536", "-1", "smtp", "25-26", "٢٥", "25 26", "1" * 5_000])
def test_what_is_no_port_stops_the_start(text: str) -> None:
    """With the setting's name."""
    with pytest.raises(SettingsError, match="EVENTBUS_ALLOW_PORTS"):
        ports_of(f"25,{text}")


def test_the_page_lists_them() -> None:
    """Those and no others."""
    page = (Path(__file__).parents[2] / "docs/security.md").read_text("utf-8")
    listed = re.search(r"\(SSH, MySQL\): (.*?)\. Registering", page, re.DOTALL)
    assert listed is not None
    found: set[int] = set()
    for part in re.split(r",\s+|\s+and\s+", listed[1]):
        first, _, last = part.partition(" to ")
        found |= set(range(int(first), int(last or first) + 1))
    assert found == set(DENIED_PORTS)
