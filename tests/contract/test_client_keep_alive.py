import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from eventbus.client import BusError, Registration, State, Subscriber, Unauthorized, Unavailable, Unreachable
from eventbus.client import keep_alive as module
from eventbus.client.calls import Backoff
from eventbus.client.keep_alive import REGISTRATION_BACKOFF, KeepAlive, Register
from eventbus.testing import FakeBus
from tests.support.deadline import eventually

NOW = datetime.now(UTC)
#: Seconds between renewals.
RENEW = 0.02


def status(*, created: bool) -> Subscriber:
    """What the bus answers to a registration."""
    found = FakeBus().register("a:1")
    return Subscriber(
        **{name: getattr(found, name) for name in found.__slots__} | {"created": created, "renew_after": RENEW}
    )


@contextmanager
def keeping(
    register: Register, backoff: Backoff = REGISTRATION_BACKOFF
) -> Iterator[tuple[KeepAlive, list[Registration]]]:
    """A running KeepAlive, and its changes."""
    changes: list[Registration] = []
    keep_alive = KeepAlive(register, changes.append, backoff)
    keep_alive.start()
    try:
        yield keep_alive, changes
    finally:
        keep_alive.stop()


def scripted(*script: Subscriber | BusError) -> Callable[[bool], Subscriber]:
    """Answers registrations by a script; its last line is repeated."""
    steps = list(script)

    def register(_: bool) -> Subscriber:
        step = steps.pop(0) if len(steps) > 1 else steps[0]
        if isinstance(step, BusError):
            raise step
        return step

    return register


def test_a_registration_is_renewed_and_each_state_is_reported() -> None:
    """Registered, renewed, and registered again where the bus had forgotten it."""
    new, known = status(created=True), status(created=False)
    with keeping(scripted(new, known, new, known)) as (_, changes):
        eventually(lambda: len(changes) >= 4, 10)
    states = [found.state for found in changes]
    assert states[:4] == [State.REGISTERED, State.RENEWED, State.REGISTERED_AGAIN, State.RENEWED]
    assert states[-1] is State.STOPPED
    assert changes[0].subscriber is new


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Unreachable("gone", sent=False), State.UNREACHABLE),
        (Unavailable(503, "stopping"), State.REFUSED),
        (Unauthorized(401, "no token"), State.REFUSED),
    ],
)
def test_a_failure_is_reported_and_tried_again(error: BusError, state: State, caplog: pytest.LogCaptureFixture) -> None:
    """It never gives up: the bus may come back, or be configured. The log says so once."""
    quick = Backoff(first=0.001, longest=0.002)
    with keeping(scripted(error, error, error, status(created=True)), quick) as (keep_alive, changes):
        assert keep_alive.wait_registered(10)
    assert [found.state for found in changes[:4]] == [state] * 3 + [State.REGISTERED]
    assert changes[0].error is error
    assert len([record for record in caplog.records if "not registered" in record.message]) == 1


def test_only_the_first_registration_is_the_first() -> None:
    """Where to begin is asked for until it was answered, and never again: it would repeat everything."""
    firsts: list[bool] = []

    def register(first: bool) -> Subscriber:
        firsts.append(first)
        return status(created=True)

    with keeping(register):
        eventually(lambda: len(firsts) >= 3, 10)
    assert firsts[:3] == [True, False, False]


def test_renewals_come_at_a_third_of_the_lease_or_a_little_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many services that started at once do not renew at once for ever."""
    drawn: list[tuple[float, float]] = []
    monkeypatch.setattr(module.random, "uniform", lambda low, high: drawn.append((low, high)) or 1.0)
    with keeping(scripted(status(created=True))):
        eventually(lambda: drawn, 10)
    assert drawn[0] == (0.8, 1.0)


def test_starting_twice_is_starting_once() -> None:
    """One process has one thread, however many threads ask for it."""
    running = [threading.Thread(target=lambda: [keep_alive.start() for _ in range(10)]) for _ in range(8)]
    with keeping(scripted(status(created=True))) as (keep_alive, _):
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert _keepers() == 1
    assert _keepers() == 0


def _keepers() -> int:
    return sum(thread.name == "eventbus-keep-alive" for thread in threading.enumerate())


def test_a_callback_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What a service does with the state is its own; the lease is kept."""
    changes: list[Registration] = []

    def broken(found: Registration) -> None:
        changes.append(found)
        raise RuntimeError("broken")

    keep_alive = KeepAlive(scripted(status(created=True)), broken)
    keep_alive.start()
    eventually(lambda: len(changes) >= 3, 10)
    keep_alive.stop()
    assert "raised" in caplog.text


def test_a_callback_may_stop_the_keeper() -> None:
    """From within its own thread, too, without waiting for itself."""
    stopped = threading.Event()

    def stop(_: Registration) -> None:
        keep_alive.stop()
        stopped.set()

    keep_alive = KeepAlive(scripted(status(created=True)), stop)
    keep_alive.start()
    assert stopped.wait(10)
    eventually(lambda: _keepers() == 0, 10)


def test_after_a_fork_the_child_has_no_keeper_until_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked process that only computes renews nothing; one that serves has a thread of its own."""
    with keeping(scripted(status(created=True))) as (keep_alive, changes):
        eventually(lambda: changes, 10)
        parent = os.getpid()
        monkeypatch.setattr(module.os, "getpid", lambda: parent + 1)  # as after a fork
        assert not keep_alive.wait_registered(0)
        keep_alive.ensure()
        assert keep_alive.wait_registered(10)
        assert _keepers() == 2
        keep_alive.stop()
        monkeypatch.undo()
    assert _keepers() == 0


def test_a_change_by_somebody_else_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever runs the service sees in its log who has changed the subscription, and when."""
    known = status(created=False)
    changed = replace(known, changed_at=NOW, changed_by="10.0.0.7")
    again = replace(changed, changed_at=NOW + timedelta(seconds=1), changed_by="10.0.0.8\x1b")
    with keeping(scripted(known, changed, changed, known, changed, again)) as (_, changes):
        eventually(lambda: len(changes) >= 6, 10)
    payload = [record.getMessage() for record in caplog.records if "another client" in record.getMessage()]
    assert payload == [
        f"another client has changed this subscription: '10.0.0.7', at {NOW}",
        f"another client has changed this subscription: '10.0.0.8\\x1b', at {again.changed_at}",
    ]
