"""Counts the processor's instructions for a delivery, which no neighbour of the machine changes.

    python -m bench.instructions [--fanout N | --members N] [--batch N] [--delivered N]
        [--publishes N] [--json | --filter] [--tls]

Times on a shared machine differ by a factor of two from minute to minute; these counts differ by a few percent, so
that they tell what a change of the code has saved. Counted is what the bus does outside of the kernel, from the first
publish to the last delivery, but for gunicorn. What the bus does at intervals is left out, and long work does not give
way to other work, since under the counter (callgrind) a second is fifty times shorter. Needs valgrind (Debian: apt-get
install valgrind). Prints JSON.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from bench.run import sink


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
    ask.add_argument("--filter", action="store_true", help="the same, and one more subscriber, whose filter reads each")
    arguments = ask.parse_args()
    fanout, group = (1, "bench") if arguments.members else (arguments.fanout, "")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        tls = folder if arguments.tls else ""
        subscribers = stack.enter_context(sink(arguments.members or fanout, tls=tls))
        counter = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/counts"]
        counted = [
            "-m",
            "bench.counted",
            str(arguments.publishes),
            str(arguments.batch),
            str(arguments.delivered),
            str(2 if arguments.filter else int(arguments.json)),
            group,
        ]
        counted += subscribers.addresses
        settings = {"EVENTBUS_JOURNAL": f"sqlite:///{folder}/bus.db", "EVENTBUS_CA_FILE": subscribers.ca_file}
        environment = os.environ | settings | {"PYTHONHASHSEED": "0"}
        output = subprocess.run(
            [*counter, sys.executable, *counted], check=True, capture_output=True, text=True, env=environment
        ).stderr
    found = re.search(r"Collected : (\d+)", output)
    assert found is not None, output  # noqa: S101 - callgrind ends with it
    deliveries = arguments.publishes * arguments.batch * fanout
    print(json.dumps({"instructions/delivery": round(int(found[1]) / deliveries)}))


if __name__ == "__main__":
    main()
