"""The slots of attempts in flight, and which attempts take so long that they count as slow.

A subscriber may answer for years and then hang, and so may hundreds at once: until they time out they would hold all
slots. So an attempt counts as slow as soon as it has taken long. If such attempts hold more slots than slow ones may,
and others wait, the oldest are cut short: their deliveries wait as if they had not been attempted.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent import getcurrent
from gevent.hub import get_hub

from eventbus.delivery.lane.health import Health
from eventbus.delivery.slow_pool import SLOW_SECONDS, SlowPool, Turn

#: Seconds between two looks at what is in flight: an attempt is found to be slow so much later.
CHECK_INTERVAL_SECONDS = 0.2
#: Seconds between two lines of the log.
LOG_INTERVAL_SECONDS = 60.0

log = logging.getLogger(__name__)


class CutShort(Exception):
    """Ends the attempt in flight, since others wait for its slot. It says nothing about the subscriber."""


class LeaseExpired(CutShort):
    """Ends the attempt in flight to a member of a group whose lease has expired: another member gets the event."""


class Slot:
    """One greenlet of the run queue, which creates it, and its attempt in flight."""

    __slots__ = ("at", "greenlet", "turn")

    def __init__(self) -> None:
        self.greenlet: Any = getcurrent()
        self.at: Health | Watched | None = None  # at whose subscriber an attempt is in flight
        self.turn: Turn | None = None  # as it was counted among the slow ones

    @property
    def target(self) -> Health | None:
        """Return whose attempt is in flight."""
        return self.at.target if isinstance(self.at, Watched) else self.at


class Watched:
    """An attempt that was in flight at a check; it stands in the slot instead of the lane until it ends."""

    __slots__ = ("since", "target")

    def __init__(self, target: Health, since: float) -> None:
        self.target, self.since = target, since


class Slots:
    """Checks the attempts in flight at intervals, so that a delivery costs nothing more for it."""

    def __init__(
        self,
        pool: SlowPool,
        monotonic: Callable[[], float],
        others_wait: Callable[[], bool],
        log_interval_seconds: float = LOG_INTERVAL_SECONDS,
    ) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._others_wait = others_wait
        self._slots: list[Slot] = []
        self._hanging: deque[tuple[Slot, Turn]] = deque()  # turns that were taken over, the oldest first
        self._cut = 0  # attempts that were cut short since the last line
        self._log_seconds, self._logged = log_interval_seconds, -math.inf
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Begin to check."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Stop checking."""
        if self._greenlet is not None:
            self._greenlet.kill()

    def add(self) -> Slot:
        """Return a slot for the greenlet that calls this."""
        slot = Slot()
        self._slots.append(slot)
        return slot

    def cut_short(self, target: Health) -> None:
        """End all attempts in flight to a member whose lease has expired."""
        for slot in self._slots:
            if slot.target is target:
                get_hub().loop.run_callback(_end_expired, slot, target)

    def _run(self) -> None:
        while True:
            gevent.sleep(CHECK_INTERVAL_SECONDS)
            self.check()

    def check(self) -> None:
        """Count the attempts that have become slow, and cut short those that others wait for."""
        now = self._monotonic()
        for slot in self._slots:
            at = slot.at
            if isinstance(at, Watched):
                if now - at.since > SLOW_SECONDS:
                    at.since = math.inf  # is not found once more
                    self._found_slow(slot, at.target)
            elif at is not None:
                slot.at = Watched(at, now)
        while self._hanging and not _under_way(*self._hanging[0]):
            self._hanging.popleft()
        if self._hanging:
            self._end(self._pool.excess(others_wait=self._others_wait()), now)

    def _found_slow(self, slot: Slot, target: Health) -> None:
        target.set_slow(slow=True)
        turn = self._pool.take_over(target, slot.turn)
        if turn is not None:
            slot.turn = turn
            self._hanging.append((slot, turn))

    def _end(self, count: int, now: float) -> None:
        ended = 0
        while self._hanging and ended < count:
            slot, turn = self._hanging.popleft()
            if _under_way(slot, turn):
                ended += 1
                get_hub().loop.run_callback(_cut_short, slot, turn)
        self._cut += ended
        if self._cut and now - self._logged >= self._log_seconds:
            log.warning("%d attempts were cut short: those that take long held more than half of the slots", self._cut)
            self._cut, self._logged = 0, now


def _under_way(slot: Slot, turn: Turn) -> bool:
    return slot.at is not None and slot.turn is turn


def _cut_short(slot: Slot, turn: Turn) -> None:
    """Cut an attempt short; runs in the hub, as time-outs do: there the attempt is either over or waits."""
    if _under_way(slot, turn):
        slot.greenlet.throw(CutShort)


def _end_expired(slot: Slot, target: Health) -> None:
    """End the attempt in flight to an expired member; runs in the hub, as _cut_short does."""
    if slot.target is target:
        slot.greenlet.throw(LeaseExpired)
