"""Services of several replicas each, all of which are restarted under load, as deploys and crashes do."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.load import Load
from tests.support.server import ROOT, BusServer

SERVICES, REPLICAS = ("mailer", "stock", "search"), 3
#: Deliveries that a replica has in flight at most: what one that is killed may repeat.
IN_FLIGHT = 32
#: Seconds in which everything is handled once nothing is published any more.
SETTLED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Size:
    """How much is tried: events a second, and how often all replicas are restarted."""

    rate: int
    rounds: int


SHORT, LONG = Size(rate=200, rounds=1), Size(rate=2_000, rounds=3)


class Service:
    """The replicas of one service, in the order of their start."""

    def __init__(self, name: str, port: int, folder: Path, *options: str) -> None:
        self.name = name
        self._caller = Caller(port)
        self._notes = folder / name
        self._notes.touch()
        arguments = [f"http://127.0.0.1:{port}", name, self._notes, *options]
        self._command = [sys.executable, "-m", "tests.support.replica", *arguments]
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start one replica more, and wait for nothing."""
        self._running.append(subprocess.Popen(self._command, cwd=ROOT))

    def stop_oldest(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        """Send a signal to the replica that has run longest, and count it as one no more."""
        oldest = self._running.pop(0)
        self._stopped.append(oldest)
        oldest.send_signal(number)
        return oldest

    def status(self) -> dict[str, Any]:
        """What the bus says of the group; nothing before it has members."""
        groups = self._caller.call("GET", "/listSubscribers", [("Accept", "application/json")]).json()["groups"]
        return next((group for group in groups if group["group"] == self.name), {"members": []})

    def handled(self) -> Counter[int]:
        """How often each event was handled, by whichever replica; those that were handled first stand first."""
        return Counter(int(line) for line in self._notes.read_bytes().split())

    def __enter__(self) -> Self:
        for _ in range(REPLICAS):
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._running, *self._stopped):
            process.kill()
            process.wait()


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[int, list[Service]]]:
    """A bus's port, and services all of whose replicas are registered there."""
    with BusServer(folder) as bus, ExitStack() as stack:
        services = [stack.enter_context(Service(name, bus.port, folder, *options)) for name in SERVICES]
        for service in services:
            eventually(lambda service=service: len(service.status()["members"]) == REPLICAS, 60)
        yield bus.port, services


def restart_all(number: signal.Signals, rounds: int) -> Callable[[list[Service]], None]:
    """Restart all replicas so often."""

    def restart(services: list[Service]) -> None:
        for _ in range(REPLICAS * rounds):
            restart_one(services, number)

    return restart


def restart_one(services: list[Service], number: signal.Signals) -> None:
    """Stop a replica of each service, and start another one in its place."""
    ended = [service.stop_oldest(number) for service in services]
    for process in ended:
        eventually(lambda process=process: process.poll() is not None, 30, "a replica runs on")
        assert process.wait() == (0 if number == signal.SIGTERM else -number)
    before = [addresses(service) for service in services]
    for service in services:
        service.start()
    for service, known in zip(services, before, strict=True):
        eventually(lambda service=service, known=known: addresses(service) - known, 60, "no new member")


def addresses(service: Service) -> set[str]:
    """The members' addresses."""
    return {member["address"] for member in service.status()["members"]}


def freeze_one(services: list[Service]) -> None:
    """Stop a replica of each service without a word, until its lease has ended, and kill it then."""
    frozen = [service.stop_oldest(signal.SIGSTOP) for service in services]
    for service in services:
        eventually(lambda service=service: len(service.status()["members"]) < REPLICAS, 60, "its lease goes on")
    for process in frozen:
        process.kill()
        process.wait()


def published_meanwhile(
    folder: Path, rate: int, meanwhile: Callable[[list[Service]], None], *options: str
) -> dict[Service, int]:
    """Do something under load; how many attempts have failed, once each service has handled all that was published."""
    with running(folder, *options) as (port, services):
        with Load(port, rate) as load:
            meanwhile(services)
        found = {}
        for service in services:
            eventually(lambda service=service: service.status()["pending"] == 0, SETTLED_SECONDS, "events are lost")
            status = service.status()
            assert (status["accepted"], status["dead"], status["discarded"]) == (load.published, 0, 0)
            assert set(service.handled()) == set(range(load.published))
            found[service] = status["failed_attempts"]
        return found


SIZES = pytest.mark.parametrize("size", [SHORT, pytest.param(LONG, marks=pytest.mark.soak)], ids=["short", "long"])


@SIZES
def test_a_rolling_restart_loses_and_repeats_nothing(size: Size, tmp_path: Path) -> None:
    """Each replica is stopped by SIGTERM and followed by another: each service handles each event exactly once."""
    found = published_meanwhile(tmp_path, size.rate, restart_all(signal.SIGTERM, size.rounds))
    for service, failed_attempts in found.items():
        assert {number for number, count in service.handled().items() if count > 1} == set()
        assert failed_attempts == 0


@SIZES
def test_replicas_that_are_killed_lose_nothing(size: Size, tmp_path: Path) -> None:
    """Each replica is killed and followed by another: what it had in flight is handled by others, perhaps again."""
    for service in published_meanwhile(tmp_path, size.rate, restart_all(signal.SIGKILL, size.rounds)):
        handled = service.handled()
        assert handled.total() - len(handled) <= IN_FLIGHT * REPLICAS * size.rounds


@pytest.mark.soak
def test_what_a_replica_that_freezes_had_in_flight_is_handled_by_others(tmp_path: Path) -> None:
    """When its lease has ended, and not only when its attempts have."""
    for service in published_meanwhile(tmp_path, SHORT.rate, freeze_one):
        assert service.handled().total() == len(service.handled())


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_ordered_service_handles_events_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """Whichever replica handles them, and however replicas end: each event for the first time after those before it."""
    for service in published_meanwhile(tmp_path, SHORT.rate, restart_all(number, LONG.rounds), "ordered"):
        handled = list(service.handled())
        assert handled == sorted(handled)
