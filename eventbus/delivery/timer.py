"""The timer: wakes lanes when their time comes, all with one greenlet and one heap."""

import heapq
import math
from collections.abc import Callable

import gevent
from gevent.event import Event as Signal

from eventbus.delivery.lane.lane import Lane


class Timer:
    """Calls ``ring(lane)`` at each lane's next wake-up time (monotonic seconds)."""

    def __init__(self, ring: Callable[[Lane], None], monotonic: Callable[[], float]) -> None:
        self._ring = ring
        self._monotonic = monotonic
        self._heap: list[tuple[float, int, Lane]] = []
        self._set_for: dict[Lane, float] = {}
        self._ticket = 0
        self._earlier = Signal()

    def start(self) -> None:
        """Begin to wake lanes."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Wake no lane any more."""
        self._greenlet.kill()

    def set(self, lane: Lane, moment: float) -> None:
        """Wake a lane at ``moment``, or at the earlier moment that was set before; inf is never."""
        if moment >= self._set_for.get(lane, math.inf):
            return
        self._set_for[lane] = moment
        self._ticket += 1
        heapq.heappush(self._heap, (moment, self._ticket, lane))
        if self._heap[0][2] is lane:
            self._earlier.set()

    def _run(self) -> None:
        while True:
            wait = self._heap[0][0] - self._monotonic() if self._heap else None
            if wait is None or wait > 0:
                self._earlier.wait(wait)
                self._earlier.clear()
            self._ring_due()

    def _ring_due(self) -> None:
        now = self._monotonic()
        while self._heap and self._heap[0][0] <= now:
            moment, _, lane = heapq.heappop(self._heap)
            if self._set_for.get(lane) == moment:
                del self._set_for[lane]
                self._ring(lane)
