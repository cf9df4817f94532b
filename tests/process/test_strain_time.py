"""A wall clock that is stepped, and a worker that is stopped: nothing is lost, and no lease is wrong by the step."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import gevent
import pytest

from tests.support.accounts import holds, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.publisher import publish_all
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.stepped_clock import CONFIGURATION, SteppedClock, find_library
from tests.support.subscriber import RecordingSubscriber

LIBRARY = find_library()
HOUR, DAY = 3_600, 86_400
STEPS = {"an hour on": HOUR, "an hour back": -HOUR, "a day on": DAY, "a day back": -DAY}
#: The shortest lease, and seconds after which even a busy machine has noticed its end.
LEASE, NOTICED = 5.0, 20.0
#: Seconds in which one of the first retries comes, on a busy machine too, and which no retry ever waits for.
SOON, LONGEST_DELAY = 30.0, 60.0

needs_clock = pytest.mark.skipif(LIBRARY is None, reason="libfaketime (Debian: faketime) is not installed")


@dataclass(frozen=True, slots=True)
class Clocked:
    """A bus, and its clock."""

    bus: BusServer
    clock: SteppedClock

    @property
    def caller(self) -> Caller:
        """Calls the bus."""
        return Caller(self.bus.port)

    def step(self, seconds: int, address: str) -> None:
        """Step the clock, and see that the bus reads it: by the time of this subscriber's renewal."""
        self.clock.step(seconds)
        renewed = self.caller.register(address)["renewed_at"]
        read = datetime.strptime(renewed, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
        assert abs(read - time.time() - seconds) < 60


def clocked(stack: ExitStack, folder: Path) -> Clocked:
    """A bus whose clock can be stepped."""
    assert LIBRARY is not None
    clock = SteppedClock(LIBRARY, folder)
    bus = BusServer(folder, clock.environment, arguments=("-c", CONFIGURATION))
    return Clocked(stack.enter_context(bus), clock)


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Clocked]:
    """One such bus."""
    with ExitStack() as stack:
        yield clocked(stack, tmp_path)


def nowhere() -> str:
    """An address at which nobody listens."""
    return f"127.0.0.1:{free_port()}"


def lease_through(step: int, folder: Path) -> float:
    """Register, step the clock, and wait for the lease's end: seconds for which it was listed."""
    folder.mkdir()
    with ExitStack() as stack:
        stepped = clocked(stack, folder)
        address, caller = nowhere(), stepped.caller
        began = time.monotonic()
        caller.register(address, lease=LEASE)
        stepped.step(step, nowhere())
        while caller.listed(address):
            assert time.monotonic() - began < LEASE + NOTICED
            gevent.sleep(0.05)
        return time.monotonic() - began


@needs_clock
def test_a_lease_lasts_as_long_as_it_says_however_the_clock_is_stepped(tmp_path: Path) -> None:
    """A step of an hour or a day, either way, neither ends a lease early nor lets it live longer."""
    leases = [gevent.spawn(lease_through, step, tmp_path / str(step)) for step in STEPS.values()]
    gevent.joinall(leases, raise_error=True)
    assert all(LEASE <= lease.get() < LEASE + NOTICED for lease in leases)


@needs_clock
@pytest.mark.soak
def test_retries_go_on_however_the_clock_is_stepped(stepped: Clocked) -> None:
    """Who was down, or failing, when the clock was stepped gets every event once it is well, without renewing."""
    caller = stepped.caller
    for step in STEPS.values():
        with RecordingSubscriber() as down, RecordingSubscriber(failing := Switch(500)) as ill:
            down.down()
            ids = publish_in_vain(caller, (down, ill))
            stepped.step(step, nowhere())
            ids += [caller.publish(b"%d" % number) for number in range(3)]
            failing.status = 200
            down.up()
            for each in (down, ill):
                each.wait_for_ids(ids, SOON)
                eventually(settled(caller, each.address, delivered=len(ids), dead=0, discarded=0), SOON)
                caller.deregister(each.address)


def publish_in_vain(caller: Caller, subscribers: Sequence[RecordingSubscriber]) -> list[str]:
    """Register subscribers that take nothing, and publish until an attempt at each has failed; the events' ids."""
    for subscriber in subscribers:
        caller.register(subscriber.address, lease=HOUR)
    ids = [caller.publish(b"%d" % number) for number in range(3)]
    for subscriber in subscribers:
        eventually(holds_failures(caller, subscriber.address), SOON)
    return ids


def holds_failures(caller: Caller, address: str) -> Callable[[], bool]:
    """Whether attempts at this subscriber have failed."""
    return lambda: caller.subscriber(address)["failed_attempts"] > 0


@needs_clock
@pytest.mark.parametrize(
    ("step", "seconds"),
    [("a day on", SOON), pytest.param("an hour back", LONGEST_DELAY + SOON, marks=pytest.mark.soak)],
)
def test_a_restart_after_a_step_loses_nothing(stepped: Clocked, step: str, seconds: float) -> None:
    """What was pending when the clock was stepped and the bus was killed is delivered as soon as any retry may wait."""
    caller = stepped.caller
    with RecordingSubscriber() as down, RecordingSubscriber(failing := Switch(500)) as ill:
        down.down()
        ids = publish_in_vain(caller, (down, ill))
        stepped.bus.kill()
        stepped.clock.step(STEPS[step])
        failing.status = 200
        down.up()
        stepped.bus.start()
        for each in (down, ill):
            each.wait_for_ids(ids, seconds)
            eventually(settled(caller, each.address, delivered=len(ids), dead=0, discarded=0), SOON)


# Stopped


def test_a_worker_stopped_for_longer_than_a_lease_loses_nothing(tmp_path: Path) -> None:
    """After a stop, a request that came meanwhile is answered, and what was pending is delivered, kept, or dead.

    Whose lease had time left gets it at once, whose place outlives the lease when it is back, and whose lease ended
    when its dead letters are replayed.
    """
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        patient, kept, brief = (stack.enter_context(RecordingSubscriber()) for _ in range(3))
        everybody = (patient, kept, brief)
        for each in everybody:
            each.down()
        caller.register(patient.address, lease=HOUR)
        caller.register(kept.address, lease=LEASE, resume=True)
        caller.register(brief.address, lease=LEASE)
        ids = [caller.publish(b"%d" % number) for number in range(20)]
        late = stopped_for_a_lease(bus, caller)
        for each in everybody:
            each.up()
        patient.wait_for_ids([*ids, late], SOON)
        eventually(lambda: not caller.listed(brief.address) and not caller.listed(kept.address), LEASE)
        eventually(lambda: len(repair.dead_letters(address=brief.address)) >= len(ids), SOON)
        caller.register(kept.address)
        caller.register(brief.address)
        assert repair.replay_dead(address=brief.address) >= len(ids)
        for each in (kept, brief):
            each.wait_for_ids(ids, SOON)
        eventually(settled(caller, patient.address, delivered=len(ids) + 1, dead=0, discarded=0), SOON)
        eventually(settled(caller, kept.address, dead=0, discarded=0), SOON)


def stopped_for_a_lease(bus: BusServer, caller: Caller) -> str:
    """Stop the worker until the shortest lease is over; the id of an event that is published meanwhile."""
    worker, ends = bus.worker_pid, time.monotonic() + LEASE + 0.5
    os.kill(worker, signal.SIGSTOP)
    late = gevent.spawn(caller.publish, b"late")
    eventually(lambda: time.monotonic() > ends, LEASE + NOTICED)
    assert not late.ready()
    os.kill(worker, signal.SIGCONT)
    accepted: str = late.get(timeout=SOON)
    return accepted


def test_a_worker_that_shows_no_sign_of_life_is_replaced_and_loses_nothing(tmp_path: Path) -> None:
    """A worker that stands still is replaced; whoever was registered gets all that was accepted, before and after."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, arguments=("--timeout", "3")))
        caller, subscriber = Caller(bus.port), stack.enter_context(RecordingSubscriber())
        caller.register(subscriber.address, lease=HOUR)
        before = publish_all(bus.port, [b"%d" % number for number in range(200)], connections=4)
        former = bus.worker_pid
        os.kill(former, signal.SIGSTOP)
        eventually(lambda: bus.worker_pids not in ([], [former]), 20, "the worker was not replaced")
        after = publish_all(bus.port, [b"%d" % number for number in range(200)], connections=4, timeout=30)
        assert (len(before.accepted), len(after.accepted), after.refused) == (200, 200, 0)
        subscriber.wait_for_ids([*before.accepted, *after.accepted], 30)
        eventually(holds(caller, subscriber.address, pending=0, dead=0, discarded=0), SOON)
