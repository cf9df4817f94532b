"""One measurement: a fresh bus on a fresh journal, its subscribers, and a load."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.certificate import make_certificate

#: Seconds without an arrival after which the rest counts as lost.
MAX_IDLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured."""

    fanout: int
    size: int = 1_024  # bytes in a body
    batch: int = 1  # events in one request that publishes
    delivered: int = 1  # events in one request to a subscriber, at most
    rate: float = 0  # events a second; 0 for as many as are answered
    slow: int = 0  # of the subscribers
    dead: int = 0
    seconds: float = 4
    redis: bool = False  # the journal is on a Redis server of its own instead of in a file
    nodes: int = 1  # buses that share the journal there
    tls: bool = False  # subscribers are reached by https

    @property
    def name(self) -> str:
        """What the table calls it."""
        extras = [f"batch {self.batch}"] * (self.batch > 1)
        extras += [f"delivery batch {self.delivered}"] * (self.delivered > 1) + ["half the rate"] * bool(self.rate)
        extras += [f"{self.slow} slow, {self.dead} dead"] * bool(self.slow or self.dead)
        extras += ["on Redis"] * self.redis + [f"{self.nodes} nodes"] * (self.nodes > 1) + ["https"] * self.tls
        return ", ".join([f"fan-out {self.fanout}", f"{self.size} B", *extras])


def measure(scenario: Scenario) -> dict[str, Any]:
    """Run one scenario; figures by name."""
    delays = ("--slow", str(scenario.slow), "--dead", str(scenario.dead))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        tls = folder if scenario.tls else ""
        subscribers = stack.enter_context(sink(scenario.fanout, *delays, tls=tls))
        server, journal = stack.enter_context(redis(folder)) if scenario.redis else (0, f"sqlite:///{folder}/bus.db")
        pid, port = stack.enter_context(bus(journal, nodes=scenario.nodes, ca_file=subscribers.ca_file))
        for address in subscribers.addresses[: scenario.fanout]:
            options = f"address={address}&lease=3600&batch={scenario.delivered}"
            call(f"http://127.0.0.1:{port}/registerAndKeepAlive?{options}", "POST")
        before, began, steal = Spent.by(pid, server), time.time(), StealTime()
        published = load(port, scenario)
        healthy = scenario.fanout - scenario.slow - scenario.dead
        stats = settled(subscribers.stats_port, published["accepted"] * healthy)
        spent = Spent.by(pid, server).since(before)
        row = figures(scenario, published, stats, spent.bus, began) | {"peak MiB": peak_mib(pid)}
        if scenario.redis:
            row["Redis cpu us/publish"] = spent.redis / max(1, published["accepted"]) * 1e6
        row["load and sink cpu us/delivery"] = spent.clients / stats["events"] * 1e6 if stats["events"] else 0.0
        row["stolen %"] = steal.percent
        return row


def load(port: int, scenario: Scenario) -> dict[str, Any]:
    """Publish as the scenario says; what became of it."""
    command = [sys.executable, "-m", "bench.load", str(port), "--seconds", str(scenario.seconds)]
    command += ["--size", str(scenario.size), "--rate", str(scenario.rate), "--batch", str(scenario.batch)]
    published: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return published


def figures(
    scenario: Scenario, published: dict[str, Any], stats: dict[str, Any], spent: float, began: float
) -> dict[str, Any]:
    """Return the table row of a run."""
    deliveries, accepted = stats["events"], max(1, published["accepted"])
    total = not scenario.slow and not scenario.dead
    return {
        "scenario": scenario.name,
        "publishes/s": published["accepted"] / published["seconds"],
        "deliveries/s": deliveries / max(1e-3, stats["last"] - began) if deliveries else 0.0,
        "cpu us/publish": spent / accepted * 1e6,
        "cpu us/delivery": spent / deliveries * 1e6 if deliveries else 0.0,
        "publish p99 ms": published["p99"],
        "arrival p50 ms": stats["ms"]["p50"],
        "arrival p99 ms": stats["ms"]["p99"],
        "arrival p99.9 ms": stats["ms"]["p99.9"],
        "lost": max(0, published["accepted"] * scenario.fanout - stats["distinct"]) if total else "",
        "duplicated": stats["events"] - stats["distinct"] if total else "",
    }


def settled(port: int, goal: int) -> dict[str, Any]:
    """Wait until so much has arrived, or nothing comes any more."""
    last, moved = -1, time.monotonic()
    while True:
        stats: dict[str, Any] = json.loads(call(f"http://127.0.0.1:{port}/stats"))
        if stats["events"] != last:
            last, moved = stats["events"], time.monotonic()
        if stats["distinct"] >= goal or time.monotonic() - moved > MAX_IDLE_SECONDS:
            return stats
        time.sleep(0.05)


@contextmanager
def bus(
    journal: str, app: str = "wsgi:app", *options: str, nodes: int = 1, ca_file: str = ""
) -> Iterator[tuple[int, int]]:
    """A bus that answers, or another app under the same gunicorn; the master's pid, and the port."""
    port = free_port()
    settings = {"EVENTBUS_JOURNAL": journal, "EVENTBUS_CA_FILE": ca_file}
    environment = {**os.environ, **settings, "PORT": str(port), "WEB_CONCURRENCY": str(nodes)}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", *options, app]
    with process(command, environment, subprocess.DEVNULL) as running:
        until_answered(f"http://127.0.0.1:{port}/readyz")
        yield running.pid, port


@contextmanager
def redis(folder: str) -> Iterator[tuple[int, str]]:
    """A Redis server that keeps every commit on disk; its pid and its URL."""
    port = free_port()
    kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", folder]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), *kept]
    with process(command, None, subprocess.DEVNULL) as running:
        until_listening(port)
        yield running.pid, f"redis://127.0.0.1:{port}/0"


@dataclass(frozen=True, slots=True)
class Sink:
    """Subscribers that listen, and whom to ask what has arrived."""

    ports: list[int]
    stats_port: int
    ca_file: str = ""  # by https: whom the bus has to trust

    @property
    def addresses(self) -> list[str]:
        """Where they are reached."""
        return [f"{'https://' if self.ca_file else ''}127.0.0.1:{port}" for port in self.ports]


@contextmanager
def sink(count: int, *options: str, tls: str = "") -> Iterator[Sink]:
    """Subscribers that listen, by https if ``tls`` names a folder for their certificate."""
    ca_file = str(make_certificate(tls)) if tls else ""
    command = [sys.executable, "-m", "bench.sink", str(count), *options, "--tls", tls]
    with process(command, None, subprocess.PIPE) as running:
        assert running.stdout is not None  # noqa: S101 - a pipe was asked for
        *ports, stats_port = json.loads(running.stdout.readline())
        yield Sink(ports, stats_port, ca_file)


@contextmanager
def process(command: list[str], environment: dict[str, str] | None, output: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, that is ended."""
    running = subprocess.Popen(
        command, env=environment, stdout=output, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until_answered(url: str) -> None:
    """Return when somebody answers there; give up after a while."""
    deadline = time.monotonic() + MAX_IDLE_SECONDS * 2
    while True:
        try:
            call(url)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def until_listening(port: int) -> None:
    """Return when somebody listens there; give up after a while."""
    deadline = time.monotonic() + MAX_IDLE_SECONDS * 2
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody listens on port {port}")
        time.sleep(0.05)


def call(url: str, method: str = "GET") -> bytes:
    """One request."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=30) as answer:
        body: bytes = answer.read()
        return body


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(grandchild for child in children for grandchild in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children, so far."""
    fields = [Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split() for each in family(pid)]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


class StealTime:
    """The time that the machine's host has spent on others since this was made, while a processor was wanted here.

    ``steal`` of proc_stat(5). Where it is more than a few tenths of a percent the machine has busy neighbours, who
    take of its caches too, and figures tell more about those than about the bus.
    """

    def __init__(self) -> None:
        self._began, self._before = time.monotonic(), self._seconds()

    @property
    def percent(self) -> float:
        """Of all processors' time."""
        total = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return (self._seconds() - self._before) / total * 100

    @staticmethod
    def _seconds() -> float:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time: of the bus, of Redis, and of all else that was started here, which is the load."""

    bus: float
    redis: float
    clients: float

    @classmethod
    def by(cls, bus: int, server: int) -> "Spent":
        """What these processes have taken so far; ``server`` is 0 where there is no Redis."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        total = cpu_seconds(os.getpid()) + ended.ru_utime + ended.ru_stime
        first, second = cpu_seconds(bus), cpu_seconds(server) if server else 0.0
        return cls(first, second, total - first - second)

    def since(self, before: "Spent") -> "Spent":
        """What was taken since then."""
        return Spent(self.bus - before.bus, self.redis - before.redis, self.clients - before.clients)


def peak_mib(pid: int) -> float:
    """The most memory that they have had, added up."""
    texts = [Path(f"/proc/{each}/status").read_text() for each in family(pid)]
    return sum(int(found[1]) for text in texts if (found := re.search(r"VmHWM:\s+(\d+)", text))) / 1_024
