"""Runs the scenarios, prints a table, and saves it.

python -m bench [--quick] [--rounds N] [--save FILE]
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from bench.run import Scenario, measure

FULL = (
    Scenario(0), Scenario(1), Scenario(10), Scenario(100), Scenario(1_000),
    Scenario(10, size=100), Scenario(10, size=65_536),
    Scenario(1, batch=100), Scenario(10, batch=10),
    Scenario(10, rate=500), Scenario(10, rate=500, slow=1, dead=1),
)  # fmt: skip
QUICK = (Scenario(1, seconds=1), Scenario(10, seconds=1), Scenario(10, rate=100, seconds=1, slow=1, dead=1))


def median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Each figure's median; texts as they are."""
    return {
        name: statistics.median(each[name] for each in rounds) if isinstance(value, int | float) else value
        for name, value in rounds[0].items()
    }


def shown(value: Any) -> str:
    """A figure as a person reads it."""
    return f"{value:,.0f}" if isinstance(value, float) and value >= 100 else f"{value:.3g}" if value != "" else ""


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    for row in rows:
        cells = [value if isinstance(value, str) else shown(value) for value in row.values()]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, save."""
    ask = argparse.ArgumentParser(prog="bench", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    ask.add_argument("--rounds", type=int, default=3, help="the table shows medians")
    ask.add_argument("--save", type=Path, default=Path("bench/results.json"), help="where the figures go, as JSON")
    arguments = ask.parse_args()
    rows = []
    for scenario in QUICK if arguments.quick else FULL:
        rounds = [measure(scenario) for _ in range(1 if arguments.quick else arguments.rounds)]
        rows.append(median_of(rounds))
        print(f"{scenario.name}: {shown(rows[-1]['deliveries/s'])} deliveries/s", flush=True)
    print(f"\n{table(rows)}")
    arguments.save.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
