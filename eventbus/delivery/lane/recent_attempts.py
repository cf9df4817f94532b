"""How a subscriber's recent attempts went, and whether it is failing. Pure: time and counters are passed in.

Nothing is counted where a delivery is made: the counters of the lane are sampled.
"""

#: Seconds that one bucket counts.
BUCKET_SECONDS = 10.0
#: Buckets of the last minute, and of the last ten.
MINUTE, TEN_MINUTES = 6, 60
#: Attempts within the last minute that an error rate is judged by, at least; the rate above which a subscriber starts
#: failing, and the lower one at which it stops, so that one in between does not change all the time.
JUDGED_ATTEMPTS, FAILING_RATE, RECOVERED_RATE = 10, 0.5, 0.4
#: Times that the oldest pending event has failed that are failing.
STUCK_FAILURES = 3


class RecentAttempts:
    """Successes and failures of the last ten minutes, in buckets; an idle subscriber has none."""

    __slots__ = ("_after", "_buckets", "_failed", "_failing_until", "_succeeded", "failing")

    def __init__(self, succeeded: int, failed: int) -> None:
        self._succeeded, self._failed = succeeded, failed  # the counters when they were sampled last
        self._buckets: list[list[int]] = []  # number, successes, failures; the oldest first
        self._after = -1  # buckets up to this one are not judged
        self._failing_until = -1  # the bucket from which on it is not failing, though nothing was attempted
        self.failing = False

    def restore_failing(self, now: float) -> None:
        """Note that the subscriber was failing when the bus stopped: it is until it works, for ten minutes at most."""
        self.failing, self._failing_until = True, _number(now) + TEN_MINUTES

    def sample(self, now: float, succeeded: int, failed: int) -> bool:
        """Count what has happened since the last sample; return whether anything has."""
        successes, failures = succeeded - self._succeeded, failed - self._failed
        if not successes and not failures:
            return False
        self._succeeded, self._failed = succeeded, failed
        number = _number(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets = [bucket for bucket in self._buckets if bucket[0] > number - TEN_MINUTES]
            self._buckets.append([number, 0, 0])
        self._buckets[-1][1] += successes
        self._buckets[-1][2] += failures
        return True

    def counts(self, now: float, buckets: int = TEN_MINUTES) -> tuple[int, int]:
        """Return the successes and failures of so many buckets, the current one included."""
        return self._since(_number(now) - buckets)

    def error_rate(self, now: float) -> float | None:
        """Return the part of the last minute's attempts that failed; None without attempts."""
        successes, failures = self.counts(now, MINUTE)
        return failures / (successes + failures) if successes or failures else None

    def judge(self, now: float, oldest_failures: int) -> None:
        """Decide whether the subscriber is failing; ``oldest_failures`` is how often the oldest pending event failed.

        That counts only where something has failed since the subscriber was down, or the bus started: until then the
        event may only have waited. What is failing remains so until something shows that it works again, or nothing has
        failed for ten minutes.
        """
        successes, failures = self._since(max(_number(now) - MINUTE, self._after))
        attempts = successes + failures
        if oldest_failures >= STUCK_FAILURES and self._since(max(_number(now) - TEN_MINUTES, self._after))[1]:
            self.failing = True
        elif attempts >= JUDGED_ATTEMPTS or (self.failing and attempts):
            self.failing = failures > (RECOVERED_RATE if self.failing else FAILING_RATE) * attempts
        elif self.failing:
            self.failing = self.counts(now)[1] > 0 or _number(now) < self._failing_until

    def clear(self, now: float) -> None:
        """Ignore everything attempted so far: the subscriber was down, or asked for a pause."""
        self.failing, self._after, self._failing_until = False, _number(now), -1

    def __len__(self) -> int:
        """Return how many buckets are kept."""
        return len(self._buckets)

    def _since(self, number: int) -> tuple[int, int]:
        found = [bucket for bucket in self._buckets if bucket[0] > number]
        return sum(bucket[1] for bucket in found), sum(bucket[2] for bucket in found)


def _number(now: float) -> int:
    return int(now // BUCKET_SECONDS)
