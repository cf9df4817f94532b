"""The benchmark runs, and counts what it measures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    """What a module of the benchmark prints."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=240).stdout


def test_the_benchmark_prints_and_saves_a_table(tmp_path: Path) -> None:
    """A short run measures each of its scenarios, finds nothing lost or repeated, and saves what it prints."""
    saved = tmp_path / "results.json"
    printed = run("bench", "--quick", "--save", str(saved))
    rows = json.loads(saved.read_text())
    assert [row["scenario"] for row in rows][:2] == ["fan-out 1, 1024 B", "fan-out 10, 1024 B"]
    assert [row["scenario"] for row in rows][2:] == [
        "fan-out 10, 1024 B, half the rate",
        "fan-out 10, 1024 B, half the rate, 1 slow, 1 dead",
    ]
    assert all(f"| {row['scenario']} |" in printed for row in rows)
    assert all((row["lost"], row["duplicated"]) == (0, 0) for row in rows[:3])
    assert all(row["deliveries/s"] > 0 and row["cpu us/delivery"] > 0 and row["arrival p99 ms"] > 0 for row in rows)
    assert all(0 <= row["stolen %"] <= 100 for row in rows)


@pytest.mark.soak
def test_the_floor_is_measured_beside_the_bus() -> None:
    """A publish and a delivery are measured beside the least that the stack can do, with their ratios."""
    figures = json.loads(run("bench.floor", "--rounds", "1", "--seconds", "1"))
    assert all(figures[name] > 0 for name in ("empty view", "publish", "bare loop", "delivery"))
    assert figures["delivery / bare loop"] > 1


@pytest.mark.soak
def test_many_subscribers_are_measured_narrow_and_wide() -> None:
    """So many subscribers with narrow topics, and as many with none, are registered and what they cost is told."""
    few, narrow, wide = (json.loads(line) for line in run("bench.scale", "--subscribers", "50").splitlines())
    assert [figures["subscribers"] for figures in (few, narrow, wide)] == [10, 50, 50]
    assert wide["delivery us"] > 0


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_instructions_are_counted() -> None:
    """A delivery takes some ten thousand instructions at least: the counter began, and all was delivered."""
    figures = json.loads(run("bench.instructions", "--fanout", "10", "--publishes", "20"))
    assert figures["instructions/delivery"] > 10_000


def test_waking_is_measured_beside_not_sleeping() -> None:
    """The same piece is measured at once and after each of the sleeps."""
    figures = json.loads(run("bench.waking", "--rounds", "1"))
    assert list(figures) == ["0.0", "0.0002", "0.001", "0.003"]
    assert all(cost > 0 for cost in figures.values())
