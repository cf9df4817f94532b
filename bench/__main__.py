"""Runs the scenarios, prints a table, and saves it.

python -m bench [--quick] [--rounds N] [--redis | --tls] [--save FILE]
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.run import Scenario, measure

FULL = (
    Scenario(0), Scenario(1), Scenario(10), Scenario(100), Scenario(1_000, seconds=1),
    Scenario(10, size=100), Scenario(10, size=65_536),
    Scenario(1, batch=100), Scenario(10, batch=10),
    Scenario(1, batch=100, delivered=100), Scenario(100, delivered=50),
)  # fmt: skip
#: Each on a file and on a Redis server, one after the other.
BESIDE_REDIS = (
    *(Scenario(fanout, redis=redis) for fanout in (1, 10, 100) for redis in (False, True)),
    *(Scenario(fanout, redis=True, nodes=nodes) for fanout in (1, 100) for nodes in (2, 4)),
)
#: Each by http and by https, one after the other.
BESIDE_TLS = tuple(Scenario(fanout, tls=tls) for fanout in (1, 10, 100) for tls in (False, True))
QUICK = (Scenario(1, seconds=1), Scenario(10, seconds=1))
#: What is measured again with half of the publishes that it could take, at a fixed rate.
PACED = Scenario(10)


def paced(top: float, seconds: float) -> list[Scenario]:
    """The scenarios of a fixed rate, half of ``top`` publishes a second; latencies are what counts there."""
    rate = max(10.0, top / 2 // 10 * 10)
    return [replace(PACED, rate=rate, seconds=seconds, slow=some, dead=some) for some in (0, 1)]


def median_of(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Each figure's median; texts as they are."""
    return {
        name: statistics.median(each[name] for each in rounds) if isinstance(value, int | float) else value
        for name, value in rounds[0].items()
    }


def row_of(scenario: Scenario, rounds: int) -> dict[str, Any]:
    """Measure a scenario so many times."""
    row = median_of([measure(scenario) for _ in range(rounds)])
    print(f"{scenario.name}: {format_figure(row['deliveries/s'])} deliveries/s", flush=True)
    return row


def format_figure(value: Any) -> str:
    """A figure as a person reads it."""
    return f"{value:,.0f}" if isinstance(value, float) and value >= 100 else f"{value:.3g}" if value != "" else ""


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "| --- " + "| ---: " * (len(names) - 1) + "|"]
    for row in rows:
        values = [row.get(name, "") for name in names]
        cells = [value if isinstance(value, str) else format_figure(value) for value in values]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, save."""
    ask = argparse.ArgumentParser(prog="bench", description=__doc__)
    ask.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    ask.add_argument("--rounds", type=int, default=3, help="the table shows medians")
    ask.add_argument("--redis", action="store_true", help="the journal in a file beside one on Redis")
    ask.add_argument("--tls", action="store_true", help="deliveries by http beside those by https")
    ask.add_argument("--save", type=Path, default=Path("bench/results.json"), help="where the figures go, as JSON")
    arguments = ask.parse_args()
    count = 1 if arguments.quick else arguments.rounds
    beside = BESIDE_REDIS if arguments.redis else BESIDE_TLS if arguments.tls else None
    chosen = beside or (QUICK if arguments.quick else FULL)
    rows = {scenario: row_of(scenario, count) for scenario in chosen}
    for scenario, row in list(rows.items()):
        if replace(scenario, seconds=PACED.seconds) == PACED and beside is None:
            top = row["deliveries/s"] / scenario.fanout
            rows |= {slower: row_of(slower, count) for slower in paced(top, scenario.seconds)}
    print(f"\n{table(list(rows.values()))}")
    arguments.save.write_text(json.dumps(list(rows.values()), indent=2) + "\n")


if __name__ == "__main__":
    main()
