"""The rate at which new addresses of one host may register: each leaves a record in the journal. Pure."""

from collections import OrderedDict

#: New addresses of one host per second, after a burst.
REGISTRATIONS_PER_SECOND = 20.0
#: Hosts that are remembered, at most; the one that was idle for longest is forgotten first.
MAX_HOSTS = 10_000


class RegistrationRate:
    """A token bucket for each host. Times are seconds on the monotonic clock."""

    def __init__(self, burst: int, per_second: float = REGISTRATIONS_PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by host: used tokens, and when

    def take(self, host: str, now: float) -> bool:
        """Count a new address and return true; return false, without counting it, if the rate is exceeded."""
        used, at = self._used.pop(host, (0.0, now))
        used = max(0.0, used - (now - at) * self._per_second)
        allowed = used + 1 <= self._burst
        self._used[host] = (used + allowed, now)
        if len(self._used) > MAX_HOSTS:
            self._used.popitem(last=False)
        return allowed
