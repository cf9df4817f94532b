"""Attempts at one hostile subscriber beside a healthy one, and what they cost the bus."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.accounts import account_of
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.hostile import Attempt, HostileSubscriber
from tests.support.hostile_behaviours import HostileBehaviour, Meaning
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

#: Seconds that an attempt at the hostile subscriber may take.
TIMEOUT = 0.6
#: Topic of what the hostile subscriber wants, and of what only the healthy one wants, who wants everything.
BAIT, CALM = "bait", "calm"
#: Events for the healthy subscriber alone, for each attempt at the hostile one.
CALM_EVENTS = 3
#: Attempts after the first: few where each takes its whole time.
ROUNDS, PATIENT_ROUNDS = 5, 2
#: Seconds to wait for what has to come.
LONG = 15.0


@dataclass(slots=True)
class Memory:
    """The most memory that the worker has held in RAM so far, in bytes, at three moments."""

    before: int
    first: int = 0  # after the first attempt
    last: int = 0


@dataclass(slots=True)
class IsolationRun:
    """Two subscribers, and what the attempts have shown so far."""

    bus: BusServer
    healthy: RecordingSubscriber
    hostile: HostileSubscriber
    behaviour: HostileBehaviour
    memory: Memory
    files: int  # that the worker had open before
    baits: list[str] = field(default_factory=list)  # ids of the events for both
    calm: list[str] = field(default_factory=list)  # ids of the events for the healthy one
    rounds: list[tuple[float, Attempt]] = field(default_factory=list)  # when the healthy one had all, and the attempt

    @property
    def caller(self) -> Caller:
        """Calls the bus."""
        return Caller(self.bus.port)

    def register(self) -> None:
        """Register the hostile subscriber, or keep it alive."""
        self.caller.register(self.hostile.address, timeout=TIMEOUT, topic=BAIT, lease=600)

    def publish(self) -> None:
        """Publish an event for both and some for the healthy one, and wait until that has them."""
        self.baits.append(self.caller.publish(topic=BAIT))
        self.calm += [self.caller.publish(topic=CALM) for _ in range(CALM_EVENTS)]
        self.healthy.wait_for_ids(self.baits + self.calm, LONG)

    def again(self) -> None:
        """Keep alive, publish, and wait for an attempt that began after that, to its end."""
        eventually(lambda: self.hostile.quiet, LONG, "an attempt went on")
        before = len(self.hostile.attempts)
        if self.behaviour.meaning is Meaning.LATER:
            self.register_again()
        self.register()
        self.publish()
        healthy_at = time.monotonic()
        eventually(lambda: self._attempted(before), LONG, "there was no further attempt")
        self.rounds.append((healthy_at, self.hostile.attempts[before]))

    def register_again(self) -> None:
        """Deregister: a pause that was asked for is over when it registers again, and what was pending is dropped."""
        self.caller.deregister(self.hostile.address)
        self.baits = []

    def _attempted(self, before: int) -> bool:
        if len(self.hostile.attempts) > before:
            return self.hostile.quiet
        self.register()
        return False

    def make_attempts(self) -> None:
        """Make a first attempt, and then more."""
        self.again()
        self.memory.first = peak_bytes(self.bus.worker_pid)
        for _ in range(PATIENT_ROUNDS if self.behaviour.patient else ROUNDS):
            self.again()
        self.memory.last = peak_bytes(self.bus.worker_pid)

    def served_meanwhile(self) -> bool:
        """Whether the healthy subscriber had all of a round while its attempt went on; one more round where not."""
        if any(attempt.began < at < (attempt.ended or 0) for at, attempt in self.rounds):
            return True
        self.again()
        return False

    # How the hostile subscriber is doing

    def status(self) -> dict[str, Any]:
        """As ``GET /listSubscribers`` tells it, with an account that adds up."""
        found = self.caller.subscriber(self.hostile.address)
        account_of(found)
        return found

    def stands(self, **expected: Any) -> Callable[[], bool]:
        """Whether this is how it is doing, with nothing under way."""
        return lambda: {"in_flight": 0, **expected}.items() <= self.status().items()


@contextmanager
def isolation_run(
    bus: BusServer, behaviour: HostileBehaviour, tls: ssl.SSLContext | None = None
) -> Iterator[IsolationRun]:
    """Two subscribers, both registered until the end; the hostile one speaks TLS with ``tls``."""
    with (
        RecordingSubscriber() as healthy,
        HostileSubscriber(behaviour.behave, sound=behaviour.sound, at_accept=behaviour.at_accept, tls=tls) as hostile,
    ):
        pid = bus.worker_pid
        run = IsolationRun(bus, healthy, hostile, behaviour, Memory(peak_bytes(pid)), open_files(pid))
        run.caller.register(healthy.address)
        run.register()
        try:
            yield run
        finally:
            run.caller.deregister(hostile.address)
            run.caller.deregister(healthy.address)


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def peak_bytes(pid: int) -> int:
    """The most memory that a process has ever held in RAM (proc_pid_status(5), VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmHWM:"))
