"""What ten thousand subscribers cost: a publish, a keep-alive, the list, and rest.

    python -m bench.scale [--subscribers N]

First with few, then with so many that have chosen narrow topics, of which what is published matches none; then with
as many that have chosen nothing and get everything. Prints a line of JSON for each.
"""

import argparse
import http.client
import json
import tempfile
import time

from bench.run import bus, cpu_seconds, settled, sink

#: Publishes that are measured: many that go to nobody, few that go to all.
TO_NOBODY, TO_ALL = 2_000, 20
SECONDS_OF_REST = 3


class Client:
    """One connection to a bus, and what its requests cost there."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def cost(self, times: int, method: str, path: str) -> float:
        """Processor microseconds of the bus for one of many equal requests."""
        before = cpu_seconds(self._pid)
        for number in range(times):
            self._request(method, path.format(number=number), b"%032x" % number if "send" in path else b"")
        return (cpu_seconds(self._pid) - before) / times * 1e6

    def _request(self, method: str, path: str, body: bytes) -> None:
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        body_text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {body_text!r}")


def at_rest(pid: int, seconds: float) -> float:
    """Part of a core that the bus takes while nothing happens, in percent."""
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds * 100


def measure(subscribers: int, *, narrow: bool) -> dict[str, float]:
    """All figures with so many subscribers, which share one port and differ in their paths."""
    with tempfile.TemporaryDirectory() as folder, sink(1) as them, bus(f"sqlite:///{folder}/bus.db") as (pid, port):
        client = Client(pid, port)
        address = f"{them.addresses[0]}/{{number}}" + "&topic=t.{number}" * narrow
        register = f"/registerAndKeepAlive?address={address}&lease=3600"
        figures = {
            "subscribers": subscribers,
            "narrow": narrow,
            "registration us": client.cost(subscribers, "POST", register),
            "publish us": client.cost(TO_NOBODY if narrow else TO_ALL, "POST", "/sendMessage?topic=other"),
        }
        if not narrow:
            before = cpu_seconds(pid)
            arrived = settled(them.stats_port, subscribers * TO_ALL)["events"]
            spent = cpu_seconds(pid) - before + figures["publish us"] * TO_ALL / 1e6
            figures["delivery us"] = spent / max(1, arrived) * 1e6
        return figures | {
            "keep-alive us": client.cost(2_000, "POST", register.replace("{number}", "0")),
            "list ms": client.cost(5, "GET", "/listSubscribers") / 1e3,
            "at rest %": at_rest(pid, SECONDS_OF_REST),
        }


def main() -> None:
    """Measure, and print."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--subscribers", type=int, default=10_000)
    many = ask.parse_args().subscribers
    for count, narrow in ((10, True), (many, True), (many, False)):
        figures = measure(count, narrow=narrow)
        print(json.dumps({name: round(value, 2) for name, value in figures.items()}), flush=True)


if __name__ == "__main__":
    main()
