"""What waking up costs on this machine: a piece of Python, repeated at once and after sleeps.

    python -m bench.waking [--rounds N]

A process that sleeps finds the processor's caches and predictions taken by others when it wakes, and its first steps
are slow. Prints processor microseconds for the piece, the sleep's own left out, by the seconds slept before each.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

SLEEPS = (0.0, 0.0002, 0.001, 0.003)
TIMES = 500
ROWS = [{"number": number, "names": [str(number)] * 5} for number in range(12)]


def piece() -> dict[str, list[str]]:
    """Some of everything: text, lists, a dictionary, calls into C and back."""
    return {str(row["number"]).upper(): row["names"] for row in json.loads(json.dumps(ROWS))}


def nothing() -> None:
    """Only the sleep."""


def cost(work: Callable[[], object], sleep: float) -> float:
    """Processor microseconds of one time."""
    before = time.process_time()
    for _ in range(TIMES):
        work()
        if sleep:
            time.sleep(sleep)
    return (time.process_time() - before) / TIMES * 1e6


def main() -> None:
    """Measure in turn, print medians."""
    ask = argparse.ArgumentParser(prog="bench.waking", description=__doc__)
    ask.add_argument("--rounds", type=int, default=5)
    count = ask.parse_args().rounds
    rounds = [[cost(piece, sleep) - cost(nothing, sleep) for sleep in SLEEPS] for _ in range(count)]
    medians = [round(statistics.median(column), 1) for column in zip(*rounds, strict=True)]
    print(json.dumps(dict(zip(map(str, SLEEPS), medians, strict=True)), indent=2))


if __name__ == "__main__":
    main()
