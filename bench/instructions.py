"""Counts the processor's instructions for a delivery, which no neighbour of the machine changes.

    python -m bench.instructions [--fanout N | --members N] [--batch N] [--delivered N]
        [--publishes N] [--json | --filter] [--tls]

Times on a shared machine differ by a factor of two from minute to minute; these counts differ by a few percent, so
that they tell what a change of the code has saved. Counted is what the bus does outside of the kernel, from the first
publish to the last delivery, but for gunicorn. What the bus does at intervals is left out, and long work does not give
way to other work, since under the counter (callgrind) a second is fifty times shorter. Needs valgrind (Debian: apt-get
install valgrind). Prints JSON, one object a line.

With ``--filter`` it tells what one more subscriber costs, for an event that is published: without a filter, so that it
gets the event, and with filters that do not match (see bench.filters). The evaluation of each filter is counted by
itself, too; what it adds to the rest is in ``beside evaluation``.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from bench.filters import FILTERS
from bench.run import sink

Figures = dict[str, str | int | float]
#: Events for which a filter is evaluated by itself.
EVALUATED = 200


def main() -> None:
    """Run the bus under the counter, and print."""
    ask = argparse.ArgumentParser(prog="bench.instructions", description=__doc__.partition("\n")[0])
    ask.add_argument("--fanout", type=int, default=100)
    ask.add_argument("--members", type=int, default=0, help="one group with so many members, instead of a fan-out")
    ask.add_argument("--batch", type=int, default=1, help="events in one request that publishes")
    ask.add_argument("--delivered", type=int, default=1, help="events in one request to a subscriber, at most")
    ask.add_argument("--publishes", type=int, default=100)
    ask.add_argument("--tls", action="store_true", help="deliver by https, on kept connections")
    ask.add_argument("--json", action="store_true", help="bodies are JSON; not with --delivered")
    ask.add_argument("--filter", action="store_true", help="the same, and what one more subscriber with a filter costs")
    arguments = ask.parse_args()
    for figures in of_filters(arguments) if arguments.filter else of_deliveries(arguments):
        print(json.dumps(figures), flush=True)


def of_deliveries(arguments: argparse.Namespace) -> Iterator[Figures]:
    """Yield the instructions for a delivery."""
    fanout = 1 if arguments.members else arguments.fanout
    yield {"instructions/delivery": round(of_bus(arguments, fanout) / arguments.batch / fanout)}


def of_filters(arguments: argparse.Namespace) -> Iterator[Figures]:
    """Yield the instructions for a publish to so many subscribers, and then what one more adds to them."""
    arguments.json = True
    usual = of_bus(arguments, arguments.fanout)
    yield {"instructions/publish": usual}
    plain = of_bus(arguments, arguments.fanout + 1) - usual
    yield {"one more": "without a filter", "instructions": plain, "%": _percent(plain, usual)}
    for name in FILTERS:
        evaluation = counted("bench.filters", name, str(EVALUATED)) // EVALUATED * arguments.batch
        added = of_bus(arguments, arguments.fanout, name) - usual
        yield {
            "one more": f"with a filter: {name}",
            "instructions": added,
            "%": _percent(added, usual),
            "evaluation": evaluation,
            "beside evaluation": added - evaluation,
        }


def _percent(added: int, usual: int) -> float:
    return round(100 * added / usual, 1)


def of_bus(arguments: argparse.Namespace, fanout: int, filter_name: str = "") -> int:
    """Return the instructions for a publish; ``filter_name`` is the filter of one more subscriber, if not empty."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        tls = folder if arguments.tls else ""
        subscribers = stack.enter_context(sink(arguments.members or fanout, tls=tls))
        parameters = [f"--{name}={getattr(arguments, name)}" for name in ("publishes", "batch", "delivered")]
        parameters += [f"--bodies={'json' if arguments.json else 'bytes'}", f"--filter={filter_name}"]
        parameters += [f"--group={'bench' if arguments.members else ''}", *subscribers.addresses]
        settings = {"EVENTBUS_JOURNAL": f"sqlite:///{folder}/bus.db", "EVENTBUS_CA_FILE": subscribers.ca_file}
        instructions: int = counted("bench.counted", *parameters, settings=settings) // arguments.publishes
    return instructions


def counted(module: str, *parameters: str, settings: Mapping[str, str] | None = None) -> int:
    """Run a module that has a part of itself counted; return the instructions of that."""
    environment = os.environ | dict(settings or {}) | {"PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        counter = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        command: Sequence[str] = [*counter, sys.executable, "-m", module, *parameters]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stderr
    found = re.search(r"Collected : (\d+)", output)
    assert found is not None, output  # noqa: S101 - callgrind ends with it
    return int(found[1])


if __name__ == "__main__":
    main()
