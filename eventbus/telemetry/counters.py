"""Counters and histograms: plain numbers, since a delivery can afford little more than an addition."""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

#: Seconds: from a request over a kept connection on the same machine to the largest timeout of a subscriber.
LATENCY_BOUNDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0,
)  # fmt: skip
#: Events in one commit.
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096)


class Histogram:
    """Counts values by bucket; a bound belongs to its bucket. Consecutive values often fall into the same bucket."""

    __slots__ = ("_above", "_below", "_bucket", "bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last one is for values above the last bound
        self.sum = 0.0
        self._find(0.0)

    def observe(self, value: float) -> None:
        """Count a value."""
        if not self._above < value <= self._below:
            self._find(value)
        self.counts[self._bucket] += 1
        self.sum += value

    def observe_all(self, values: Iterable[float]) -> None:
        """Count some values; most of them often fall into the same bucket."""
        ranked, start = sorted(values), 0
        while start < len(ranked):
            self._find(ranked[start])
            end = bisect_right(ranked, self._below, start)
            self.counts[self._bucket] += end - start
            start = end
        self.sum += sum(ranked)

    def _find(self, value: float) -> None:
        """Find a value's bucket, and remember it for the next value."""
        bucket = self._bucket = bisect_left(self.bounds, value)
        self._above = self.bounds[bucket - 1] if bucket else -math.inf
        self._below = self.bounds[bucket] if bucket < len(self.bounds) else math.inf

    @property
    def count(self) -> int:
        """The number of values."""
        return sum(self.counts)


def quantile(bounds: tuple[float, ...], counts: list[int], fraction: float) -> float:
    """Return a quantile (0 to 1), interpolated linearly within its bucket; 0 without values."""
    left = fraction * sum(counts)
    low = 0.0
    for high, count in zip((*bounds, bounds[-1]), counts, strict=True):
        if count and left <= count:
            return low + (high - low) * left / count
        left -= count
        low = high
    return 0.0


@dataclass(slots=True)
class Counters:
    """All counters of one bus, since its start."""

    attempts: Counter[str] = field(default_factory=Counter)  # by outcome (see Verdict)
    refused: Counter[str] = field(default_factory=Counter)  # requests, by one of a fixed set of reasons
    ignored_parameters: int = 0  # accepted requests with an unknown parameter
    connections: int = 0  # open now, of clients
    connections_limit: int = 0
    connections_lasting: int = 0  # of these, streams and long polls
    connections_closed_idle: int = 0  # to make room for new ones
    settling: int = 0  # publishes that wait for their events to be settled, now
    duplicates: int = 0  # publishes with a known idempotency key
    expired: int = 0  # deliveries that are dead since their events had expired
    quota: Counter[str] = field(default_factory=Counter)  # deliveries dropped for the journal quota, by kind
    backups: Counter[str] = field(default_factory=Counter)  # ended, by outcome: sent or failed
    backup_at: float = 0.0  # when the last one was sent, in seconds since 1970; 0 before the first
    accepted_events: int = 0
    accepted_bytes: int = 0  # of bodies
    arrival: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))  # end-to-end latency, seconds
    attempt: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))
    commit: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS))
    commit_events: Histogram = field(default_factory=lambda: Histogram(BATCH_BOUNDS))

    def committed(self, seconds: float, events: int, size: int) -> None:
        """Count a commit of the journal: its seconds, events, and bytes of bodies."""
        self.commit.observe(seconds)
        if events:
            self.commit_events.observe(events)
            self.accepted_events += events
            self.accepted_bytes += size
