"""How far a publish and a delivery are above the least that this stack can do, all measured in turn, in one run.

    python -m bench.floor [--rounds N] [--seconds S]

A publish that goes to nobody, beside an empty Flask view on the same gunicorn, with the bus's worker and with
gunicorn's own; a delivery at a fan-out of 100 beside a bare loop over the socket below gevent's. The bus runs as
it always does. Prints processor microseconds, medians, and ratios, as JSON, and the part of all processors' time that
the machine's host took meanwhile: with more than a few tenths of a percent, measure again later.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable

from bench.run import Scenario, StealTime, bus, cpu_seconds, load, measure, sink

FANOUT = 100
DELIVERIES = 64_000
EMPTY = "bench.empty:app"


def view(*options: str) -> Callable[[float], float]:
    """An empty view, with these options of gunicorn."""
    return lambda seconds: _request(seconds, EMPTY, options)


def publish(seconds: float) -> float:
    """A publish that goes to nobody."""
    return _request(seconds, "wsgi:app", ())


def _request(seconds: float, app: str, options: tuple[str, ...]) -> float:
    with tempfile.TemporaryDirectory() as folder, bus(f"sqlite:///{folder}/bus.db", app, *options) as (pid, port):
        before = cpu_seconds(pid)
        published = load(port, Scenario(0, seconds=seconds))
        return (cpu_seconds(pid) - before) / float(published["accepted"]) * 1e6


def delivery(seconds: float) -> float:
    """A delivery, what publishing costs included."""
    figure: float = measure(Scenario(FANOUT, seconds=seconds))["cpu us/delivery"]
    return figure


def bare(_seconds: float) -> float:
    """A POST by the bare loop."""
    with sink(FANOUT) as subscribers:
        command = [sys.executable, "-m", "bench.bare", str(DELIVERIES), *map(str, subscribers.ports)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


WAYS: dict[str, Callable[[float], float]] = {
    "empty view": view(),
    "empty view, gunicorn's own worker": view("--worker-class", "gevent"),
    "publish": publish,
    "bare loop": bare,
    "delivery": delivery,
}
RATIOS = (("publish", "empty view"), ("publish", "empty view, gunicorn's own worker"), ("delivery", "bare loop"))


def main() -> None:
    """Measure all in turn, and print."""
    ask = argparse.ArgumentParser(prog="bench.floor", description=__doc__)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--seconds", type=float, default=4)
    arguments = ask.parse_args()
    steal = StealTime()
    rounds = [{name: way(arguments.seconds) for name, way in WAYS.items()} for _ in range(arguments.rounds)]
    figures = {name: statistics.median(each[name] for each in rounds) for name in WAYS}
    ratios = {f"{high} / {low}": figures[high] / figures[low] for high, low in RATIOS}
    report = {**figures, **ratios, "stolen %": steal.percent}
    print(json.dumps({name: round(figure, 2) for name, figure in report.items()}, indent=2))


if __name__ == "__main__":
    main()
