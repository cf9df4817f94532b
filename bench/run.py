"""One measurement: a fresh bus on a fresh journal, its subscribers, and a load."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PORT, BASE = 13_000, 19_100
#: Seconds without an arrival after which the rest counts as lost.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured."""

    fanout: int
    size: int = 1_024  # bytes in a body
    batch: int = 1  # events in one request
    rate: float = 0  # events a second; 0 for as many as are answered
    slow: int = 0  # of the subscribers
    dead: int = 0
    seconds: float = 4

    @property
    def name(self) -> str:
        """What the table calls it."""
        extras = [f"batch {self.batch}"] * (self.batch > 1) + [f"{self.rate:g}/s"] * bool(self.rate)
        extras += [f"{self.slow} slow, {self.dead} dead"] * bool(self.slow or self.dead)
        return ", ".join([f"fan-out {self.fanout}", f"{self.size} B", *extras])


def measure(scenario: Scenario) -> dict[str, Any]:
    """Run one scenario; figures by name."""
    module = [sys.executable, "-m"]
    sink = [*module, "bench.sink", str(BASE), str(max(1, scenario.fanout))]
    sink += ["--slow", str(scenario.slow), "--dead", str(scenario.dead)]
    with tempfile.TemporaryDirectory() as folder, process(sink), bus(folder) as pid:
        for number in range(scenario.fanout):
            call(f"http://127.0.0.1:{PORT}/registerAndKeepAlive?address=127.0.0.1:{BASE + number}&lease=3600", "POST")
        before, began = cpu_seconds(pid), time.time()
        load = [*module, "bench.load", str(PORT), "--seconds", str(scenario.seconds), "--size", str(scenario.size)]
        load += ["--rate", str(scenario.rate), "--batch", str(scenario.batch)]
        said = json.loads(subprocess.run(load, check=True, capture_output=True, text=True).stdout)
        healthy = scenario.fanout - scenario.slow - scenario.dead
        stats = settled(said["accepted"] * healthy)
        spent = cpu_seconds(pid) - before
        return figures(scenario, said, stats, spent, began) | {"peak MiB": peak_mib(pid)}


def figures(
    scenario: Scenario, said: dict[str, Any], stats: dict[str, Any], spent: float, began: float
) -> dict[str, Any]:
    """What is shown of a run."""
    deliveries, accepted = stats["requests"], max(1, said["accepted"])
    whole = not scenario.slow and not scenario.dead
    return {
        "scenario": scenario.name,
        "publishes/s": said["accepted"] / said["seconds"],
        "deliveries/s": deliveries / max(1e-3, stats["last"] - began) if deliveries else 0.0,
        "cpu us/publish": spent / accepted * 1e6,
        "cpu us/delivery": spent / deliveries * 1e6 if deliveries else 0.0,
        "publish p99 ms": said["p99"],
        "arrival p50 ms": stats["ms"]["p50"],
        "arrival p99 ms": stats["ms"]["p99"],
        "arrival p99.9 ms": stats["ms"]["p99.9"],
        "lost": max(0, said["accepted"] * scenario.fanout - stats["distinct"]) if whole else "",
        "duplicated": stats["requests"] - stats["distinct"] if whole else "",
    }


def settled(goal: int) -> dict[str, Any]:
    """Wait until so much has arrived, or nothing comes any more."""
    last, moved = -1, time.monotonic()
    while True:
        stats: dict[str, Any] = json.loads(call(f"http://127.0.0.1:{BASE}/stats"))
        if stats["distinct"] != last:
            last, moved = stats["distinct"], time.monotonic()
        if stats["distinct"] >= goal or time.monotonic() - moved > PATIENCE:
            return stats
        time.sleep(0.05)


@contextmanager
def bus(folder: str) -> Iterator[int]:
    """A bus that answers; the master's pid."""
    environment = {**os.environ, "PORT": str(PORT), "EVENTBUS_JOURNAL": f"sqlite:///{folder}/bus.db"}
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:app"]
    with process(command, environment) as pid:
        for _ in range(200):
            try:
                call(f"http://127.0.0.1:{PORT}/readyz")
                break
            except OSError:
                time.sleep(0.05)
        yield pid


@contextmanager
def process(command: list[str], environment: dict[str, str] | None = None) -> Iterator[int]:
    """A process in a group of its own, that is ended."""
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield running.pid
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


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


def peak_mib(pid: int) -> float:
    """The most memory that they have had, added up."""
    texts = [Path(f"/proc/{each}/status").read_text() for each in family(pid)]
    return sum(int(found[1]) for text in texts if (found := re.search(r"VmHWM:\s+(\d+)", text))) / 1_024
