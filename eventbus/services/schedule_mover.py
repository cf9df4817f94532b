"""Moves scheduled events into the journal when they are due.

Memory holds how many there are, and when the next one is due. On Redis each node does this: the journal moves each
event once, and this node hears by reading of those that its peers have accepted.
"""

import logging
import math

import gevent
from gevent.event import Event as Signal

from eventbus.core.errors import JournalError
from eventbus.core.schedule import NextDue, ScheduleState
from eventbus.services.node import Node
from eventbus.telemetry.failure_log import FailureLog

#: Bytes of heads and bodies that enter the journal in one commit, but for one larger event.
COMMIT_BYTES = 4 * 1_048_576

log = logging.getLogger(__name__)


class ScheduleMover:
    """A greenlet that waits for the next due time on the wall clock, a short while at most: the clock may be set."""

    def __init__(self, node: Node) -> None:
        self._journal = node.journal
        self._clock = node.clock
        self._load = node.dispatcher.load
        self._timing = node.timing
        self._next = NextDue()
        self._earlier = Signal()  # an event is due before those that are waited for
        self._read_at = -math.inf  # on the monotonic clock
        self._failures = FailureLog(
            log, "scheduled events do not enter the journal", "scheduled events enter the journal again"
        )
        self.count = 0  #: scheduled events when they were last read, a moment ago

    @property
    def seconds_left(self) -> float | None:
        """The seconds until the next event is due, below 0 where it is overdue; None without one."""
        return None if self._next.at == math.inf else self._next.at - self._clock.wall()

    def start(self) -> None:
        """Begin to move."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Move nothing more. What is being committed is committed."""
        self._greenlet.kill()

    def accept(self, due_at: float) -> None:
        """Note that an event was scheduled for a time."""
        if self._next.accept(due_at):
            self._earlier.set()

    def run_once(self) -> None:
        """Move all that is due, and read from time to time what there is. Raises JournalError."""
        while self._next.at <= (now := self._clock.wall()):
            self._next.begin_read()
            self._note(self._journal.move_due(now, self._timing.commit_rows, COMMIT_BYTES))
            self._load.give_way()
        if self._clock.monotonic() >= self._read_at + self._timing.schedule_wait_seconds:
            self._next.begin_read()
            self._note(self._journal.schedule_state())

    def _note(self, state: ScheduleState) -> None:
        self.count = state.count
        self._next.end_read(state.next_due)
        self._read_at = self._clock.monotonic()

    def _run(self) -> None:
        while True:
            done = False
            with self._failures.logged(JournalError):
                self.run_once()
                done = True
            if done:
                self._earlier.wait(self._next.seconds_to_wait(self._clock.wall(), self._timing.schedule_wait_seconds))
                self._earlier.clear()
            else:
                gevent.sleep(self._timing.schedule_wait_seconds)
