"""A service that is stopped and started again, as a deploy does, while events are published."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from eventbus.client import Bus
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.proxy import Proxy
from tests.support.server import ROOT, BusServer

#: Handles an event by writing its number down, in one write, before it is answered.
SERVICE = """
import os, sys
from eventbus.client import Bus, Inbox, Server, serve

url, port, notes = sys.argv[1], int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
inbox = Inbox(Bus(url), f"127.0.0.1:{sys.argv[4] if len(sys.argv) > 4 else port}")

@inbox.on("drill")
def handle(event):
    os.write(notes, b"%d\\n" % event.data)

serve(inbox, port=port)
"""
#: Events a second that are published meanwhile, and by how many threads.
RATE, THREADS = 200, 2
#: Deliveries that a service has in flight at most, where it does not say: what a kill may repeat.
IN_FLIGHT = 32


class Service:
    """One replica, on a port that it keeps over restarts."""

    def __init__(self, url: str, folder: Path, address_port: int | None = None) -> None:
        self.port = free_port()
        self.notes = folder / f"handled-{self.port}"
        self.notes.touch()
        behind = [] if address_port is None else [str(address_port)]
        self._command = [sys.executable, "-c", SERVICE, url, str(self.port), str(self.notes), *behind]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait for nothing."""
        self._process = subprocess.Popen(self._command, cwd=ROOT)

    def stop(self, number: signal.Signals) -> int:
        """Stop by a signal; the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        eventually(lambda: self._process.poll() is not None, 30, "the service runs on")  # a proxy runs meanwhile
        return self._process.wait()

    def handled(self) -> Counter[int]:
        """How often each event was handled."""
        return Counter(int(line) for line in self.notes.read_bytes().split())

    def wait_for_more(self, count: int) -> None:
        """Wait until it has handled so many more deliveries."""
        before = self.handled().total()
        eventually(lambda: self.handled().total() >= before + count, 90, "the service handles nothing")

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Balancer(Proxy):
    """Hands each connection to the next of its targets that listens."""

    def __init__(self, *targets: int) -> None:
        super().__init__(targets[0])
        self.targets = list(targets)

    def _connected(self) -> socket.socket:
        for _ in self.targets:
            self.targets.append(self.targets.pop(0))
            with suppress(ConnectionRefusedError):
                return socket.create_connection((LOOPBACK, self.targets[0]))
        raise ConnectionRefusedError


class Load:
    """Publishes numbers at a steady rate, from several threads; ``published`` are those that the bus has."""

    def __init__(self, bus: Bus) -> None:
        self.published: list[int] = []
        self._bus = bus
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(first,)) for first in range(THREADS)]

    def _run(self, number: int) -> None:
        began = time.monotonic()
        while not self._over.wait(max(0.0, began + number / RATE - time.monotonic())):
            self._bus.publish("drill", number)
            self.published.append(number)
            number += THREADS

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Publish no more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def running_bus(folder: Path) -> Iterator[tuple[str, Bus]]:
    """A bus of its own: its URL, and a client of it."""
    with BusServer(folder) as server, Bus(f"http://127.0.0.1:{server.port}") as client:
        yield f"http://127.0.0.1:{server.port}", client


def restart_again_and_again(folder: Path, number: signal.Signals, times: int) -> Counter[int]:
    """Stop and start a service under load; how often each event that was published was handled: never 0."""
    with running_bus(folder) as (url, client), Service(url, folder) as service:
        eventually(client.subscribers, 30)
        with Load(client) as load:
            for _ in range(times):
                service.wait_for_more(50)
                assert service.stop(number) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
                service.start()
            service.wait_for_more(50)
            load.stop()
        eventually(lambda: set(load.published) <= set(service.handled()), 90, "events are lost")
        (seen,) = eventually(lambda: [one for one in client.subscribers() if one.pending == 0], 30)
        assert (seen.accepted, seen.dead, seen.discarded) == (len(load.published), 0, 0)
        assert set(service.handled()) == set(load.published)
        return service.handled()


def check_stop(folder: Path, times: int) -> None:
    """SIGTERM: each event exactly once."""
    handled = restart_again_and_again(folder, signal.SIGTERM, times)
    assert {number: count for number, count in handled.items() if count > 1} == {}


def check_kill(folder: Path, times: int) -> None:
    """SIGKILL: each event, and again at most what was in flight at each kill."""
    handled = restart_again_and_again(folder, signal.SIGKILL, times)
    assert handled.total() - len(handled) <= times * IN_FLIGHT


@pytest.mark.parametrize("check", [check_stop, check_kill])
def test_a_service_that_restarts_misses_nothing(check: Callable[[Path, int], None], tmp_path: Path) -> None:
    """Stopped in order each event is handled once; killed, what was in flight is handled again."""
    check(tmp_path, 3)


def test_a_replica_that_stops_unsubscribes_no_other(tmp_path: Path) -> None:
    """Two replicas behind one address: when one has ended, the other gets all that is published."""
    with (
        running_bus(tmp_path) as (url, client),
        Balancer(free_port()) as balancer,
        Service(url, tmp_path, balancer.port) as leaving,
        Service(url, tmp_path, balancer.port) as staying,
    ):
        balancer.targets = [leaving.port, staying.port]
        eventually(client.subscribers, 30)
        with Load(client) as load:
            leaving.wait_for_more(30)
            staying.wait_for_more(30)
            assert leaving.stop(signal.SIGTERM) == 0
            assert [one.address for one in client.subscribers()] == [f"127.0.0.1:{balancer.port}"]
            staying.wait_for_more(50)
            load.stop()
        eventually(lambda: set(load.published) <= {*leaving.handled(), *staying.handled()}, 90, "events are lost")


@pytest.mark.soak
@pytest.mark.parametrize("check", [check_stop, check_kill])
def test_a_service_that_restarts_twenty_times_misses_nothing(
    check: Callable[[Path, int], None], tmp_path: Path
) -> None:
    """The same over twenty restarts."""
    check(tmp_path, 20)
