"""How often addresses that the journal does not know may register on one host: each leaves a record there. Pure."""

from collections import OrderedDict

#: New addresses of one host in a second, once as many as it may have have come at once.
REGISTRATIONS_PER_SECOND = 20.0
#: Hosts that are remembered at most; past this the one that was idle longest is forgotten.
MAX_HOSTS = 10_000


class RegistrationRate:
    """A token bucket for each host. Times are seconds on the monotonic clock."""

    def __init__(self, burst: int, per_second: float = REGISTRATIONS_PER_SECOND) -> None:
        self._burst = burst
        self._per_second = per_second
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()  # by host: how many, and when that was

    def take(self, host: str, now: float) -> bool:
        """Count a new address; False where there were too many lately, and then it is not counted."""
        used, at = self._used.pop(host, (0.0, now))
        used = max(0.0, used - (now - at) * self._per_second)
        allowed = used + 1 <= self._burst
        self._used[host] = (used + allowed, now)
        if len(self._used) > MAX_HOSTS:
            self._used.popitem(last=False)
        return allowed
