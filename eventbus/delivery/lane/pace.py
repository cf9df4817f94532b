"""How deliveries to one subscriber are spaced, so that they keep to its rates. Pure: the time is passed in.

It is the generic cell rate algorithm (ITU-T I.371, annex A) without a burst: each delivery is one space after the one
before, at least. Of several rates the one with the longest spaces holds.
"""

import math
from collections.abc import Iterable

from eventbus.core.delivery_rate import Rate

#: A start that comes late moves those that follow by what is beyond this, in seconds, at most a hundredth of the rate's
#: own: a timer is late by more than the spaces of a high rate. The spaces are as much longer in all.
CATCH_UP_SECONDS = 0.01
#: More deliveries than one attempt may have.
NO_LIMIT = 1_000_000
#: Spaces from this one on, in seconds, are not caught up with: a timer is late by less.
LONG_SPACE_SECONDS = 0.02


class Pace:
    """When the next attempt may start. Times are seconds on the monotonic clock."""

    __slots__ = ("_catch_up", "_count", "_started", "most", "space")

    def __init__(self) -> None:
        self._started, self._count = -math.inf, 0  # when the last attempt did, and how many deliveries that was
        self.set_rates(())

    def set_rates(self, rates: Iterable[Rate]) -> None:
        """Keep to these rates from now on, after the deliveries that were made."""
        self.space, self._catch_up = 0.0, 0.0  #: seconds from one delivery to the next; 0 without a rate
        self.most = NO_LIMIT  #: deliveries in one attempt, at most
        for deliveries, seconds in rates:
            space, catch_up = seconds / deliveries, 0.0
            if space < LONG_SPACE_SECONDS:
                catch_up = min(CATCH_UP_SECONDS, seconds / 100)
                space = (seconds + catch_up) / deliveries
            if space > self.space:
                self.space, self._catch_up = space, catch_up
            self.most = min(self.most, deliveries)

    @property
    def ready_at(self) -> float:
        """When the next attempt may start; -inf before the first."""
        return self._started + self._count * self.space

    def start(self, now: float) -> None:
        """Count a delivery whose attempt starts now."""
        self._started, self._count = max(self.ready_at, now - self._catch_up), 1

    def add(self, count: int) -> None:
        """Count deliveries that go along with the one that has started."""
        self._count += count

    def wait_for(self, count: int, now: float) -> None:
        """Wait as if so many deliveries had been made just now: it is not known how many were."""
        self._started, self._count = now, count
