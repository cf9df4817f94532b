"""Keep an address registered: register, renew in time, and register again if the bus has forgotten it."""

import logging
import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from eventbus.client.calls import Backoff
from eventbus.client.errors import ApiError, BusError, Conflict, Unreachable
from eventbus.client.subscribers import Subscriber

log = logging.getLogger(__name__)

#: The earliest renewal, as a part of the time that the bus names, which is a third of the lease.
EARLIEST_RENEWAL = 0.8
#: Between tries when the bus is unreachable or refuses. It may return at any moment, so not for long.
REGISTRATION_BACKOFF = Backoff(first=0.5, longest=10.0)


class State(Enum):
    """The state of a registration."""

    REGISTERED = "registered"  # for the first time in this process
    RENEWED = "renewed"
    REGISTERED_AGAIN = "registered again"  # the bus had forgotten it: its lease had ended
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Registration:
    """A change of a registration: its state, the subscriber as the bus describes it, or the error."""

    state: State
    subscriber: Subscriber | None = None
    error: BusError | None = None


#: Registers once; its argument is whether it is the first time in this process.
Register = Callable[[bool], Subscriber]
OnState = Callable[[Registration], object]


class KeepAlive:
    """Registers and renews in a thread of this process. After a fork, ``ensure`` starts one in the child."""

    def __init__(
        self, register: Register, on_state: OnState | None = None, backoff: Backoff = REGISTRATION_BACKOFF
    ) -> None:
        self._register = register
        self._on_state = on_state
        self._backoff = backoff
        self._started = False
        self._runs: dict[int, _KeepAliveThread] = {}  # by process id; no lock, so that a fork can find none held

    def start(self) -> None:
        """Register, and renew from now on. Do nothing if it is started."""
        self._started = True
        self.ensure()

    def ensure(self) -> None:
        """Start the thread in this process if it was started before a fork."""
        pid = os.getpid()
        if self._started and pid not in self._runs:
            run = _KeepAliveThread(self._register, self._on_state, self._backoff)
            if self._runs.setdefault(pid, run) is run:  # of two threads that come here one is the first
                run.start()

    def wait_registered(self, timeout: float) -> bool:
        """Wait until the last try succeeded, for so many seconds at most. Return whether it did.

        Raises Conflict where the first registration of this process is refused, since the address has another one.
        """
        run = self._runs.get(os.getpid())
        return run is not None and run.wait_registered(timeout)

    def stop(self) -> bool:
        """Stop renewing. No renewal is in flight when this returns. Return whether this process had registered."""
        self._started = False
        run = self._runs.pop(os.getpid(), None)
        if run is None:
            return False
        run.stop()
        return run.has_registered


class _KeepAliveThread(threading.Thread):
    """The thread of one process."""

    def __init__(self, register: Register, on_state: OnState | None, backoff: Backoff) -> None:
        super().__init__(name="eventbus-keep-alive", daemon=True)
        self.has_registered = False
        self._registered = False  # whether the last try succeeded
        self._conflict: Conflict | None = None  # why the first registration is refused
        self._reported = threading.Condition()
        self._stopping = threading.Event()
        self._register = register
        self._on_state = on_state
        self._backoff = backoff
        self._state: State | None = None
        self._failures = 0
        self._changed_at: datetime | None = None

    def run(self) -> None:
        """Register, and renew, until stopped."""
        while not self._stopping.is_set():
            found = self._register_once(first=not self.has_registered)
            self._report(found)
            self._stopping.wait(self._pause(found))
        self._report(Registration(State.STOPPED))

    def wait_registered(self, timeout: float) -> bool:
        """Wait until the last try succeeded, and return whether it did. Raises Conflict."""
        with self._reported:
            self._reported.wait_for(lambda: self._registered or self._conflict is not None, timeout)
            if self._conflict is not None:
                raise self._conflict
            return self._registered

    def stop(self) -> None:
        """Stop the thread, and wait for its end unless it is the current one."""
        self._stopping.set()
        if threading.current_thread() is not self:
            self.join()

    def _pause(self, found: Registration) -> float:
        """Return the seconds until the next try."""
        if found.subscriber is not None:
            self._failures = 0
            renew_after = found.subscriber.renew_after or found.subscriber.lease / 3
            return renew_after * random.uniform(EARLIEST_RENEWAL, 1.0)  # noqa: S311 - no secret
        self._failures += 1
        return self._backoff.wait(self._failures, random.random(), getattr(found.error, "retry_after", None))  # noqa: S311

    def _register_once(self, *, first: bool) -> Registration:
        try:
            subscriber = self._register(first)
        except Unreachable as error:
            return Registration(State.UNREACHABLE, error=error)
        except BusError as error:
            return Registration(State.REFUSED if isinstance(error, ApiError) else State.UNREACHABLE, error=error)
        if first:
            return Registration(State.REGISTERED, subscriber)
        return Registration(State.REGISTERED_AGAIN if subscriber.created else State.RENEWED, subscriber)

    def _report(self, found: Registration) -> None:
        self._note(found)
        if found.error is not None and found.state is not self._state:
            level = logging.ERROR if isinstance(found.error, Conflict) else logging.WARNING
            log.log(level, "not registered with the bus: %s", found.error)
        self._state = found.state
        self._log_changes(found.subscriber)
        try:
            if self._on_state is not None:
                self._on_state(found)
        except Exception:
            log.exception("on_state raised")

    def _note(self, found: Registration) -> None:
        """Note the last try's result for those who wait for it."""
        with self._reported:
            self._registered = found.subscriber is not None
            self.has_registered |= self._registered
            error = found.error
            self._conflict = error if isinstance(error, Conflict) and not self.has_registered else None
            self._reported.notify_all()

    def _log_changes(self, subscriber: Subscriber | None) -> None:
        """Log once that another client has changed the subscription."""
        if subscriber is None or subscriber.changed_at in (None, self._changed_at):
            return
        self._changed_at = subscriber.changed_at
        log.warning("another client has changed this subscription: %r, at %s", subscriber.changed_by, self._changed_at)
