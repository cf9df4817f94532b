"""What is promised about security names tests, and they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POLICY = (ROOT / "SECURITY.md").read_text("utf-8")
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
_TEST = re.compile(r"`(tests/[a-z_/]+\.py)`")


def section(text: str, name: str) -> str:
    """The part of a page under this heading."""
    return text.partition(f"## {name}\n")[2].partition("\n## ")[0]


CLAIMS = [
    claim for name in ("What is promised", "What is not") for claim in re.split(r"(?m)^- ", section(POLICY, name))[1:]
]
ROWS = re.findall(r"(?m)^\| (?!who \||---).*\|$", section(PAGE, "Who can do what at worst"))


@pytest.mark.parametrize("claim", CLAIMS + ROWS)
def test_a_claim_names_its_tests(claim: str) -> None:
    """Each promise, each thing that is not promised, and each attacker."""
    named = _TEST.findall(claim)
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_attacker_is_there() -> None:
    """Who has no token, one for publishing or subscribing, a subscriber, Redis, logs, a network, a user, a browser."""
    assert len(CLAIMS) >= 15
    assert len(ROWS) == 13
    for who in ("port", "publish token", "subscribe token", "view token", "subscriber", "Redis", "machine", "browser"):
        assert any(who in row.split("|")[1] for row in ROWS)
