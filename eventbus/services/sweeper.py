"""The greenlet loop that ends leases which were not renewed."""

import gevent

from eventbus.services.bus import Bus


class Sweeper:
    """Sleeps until the next lease ends, or at most ``sweep_seconds``, and ends those that are over."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def start(self) -> None:
        """Begin to sweep."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Sweep no more."""
        self._greenlet.kill()

    def sweep(self) -> None:
        """End the leases that are over now."""
        for lease in self._bus.registrations.leases.take_expired(self._bus.clock.monotonic()):
            self._bus.registrations.end_lease(lease)

    def _run(self) -> None:
        while not self._bus.draining:  # then the next process has the leases, each for a full fresh term
            self.sweep()
            self._bus.registrations.began.wait(self._wait())
            self._bus.registrations.began.clear()

    def _wait(self) -> float:
        longest = self._bus.settings.sweep_seconds
        ends = self._bus.registrations.leases.next_expiry()
        return longest if ends is None else max(0.0, min(longest, ends - self._bus.clock.monotonic()))
