"""The time series of the last ten minutes, a sample a second, in memory; and which subscribers are failing."""

import logging
from collections import deque
from dataclasses import dataclass

import gevent

from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import MAX_ERROR
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.status import observe
from eventbus.telemetry.counters import Counters, quantile

#: Samples that are kept.
MAX_SAMPLES = 600
#: With more subscribers than this, samples are taken more rarely than each second.
LANES_PER_SECOND = 2_000
#: Subscribers that are read without letting other greenlets run.
YIELD_EVERY_LANES = 200


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    """Rates since the sample before, and the backlog at its end."""

    at: float  # seconds since 1970
    events: float  # accepted per second
    deliveries: float  # per second
    failures: float  # failed attempts per second
    arrival_p50: float  # seconds
    arrival_p99: float
    pending: int
    oldest: float  # seconds


class TimeSeries:
    """Takes samples, and works out the delivery rate of each subscriber."""

    def __init__(self, dispatcher: Dispatcher, counters: Counters, interval_seconds: float = 1.0) -> None:
        self._interval_seconds = interval_seconds
        self._dispatcher = dispatcher
        self._counters = counters
        self._clock = dispatcher.clock
        self.kept: deque[Sample] = deque(maxlen=MAX_SAMPLES)
        self._rates: dict[str, tuple[int, float]] = {}
        self._last = (self._clock.monotonic(), 0, 0, 0, list(counters.arrival.counts))

    def start(self) -> None:
        """Begin to take samples."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Take no more samples."""
        self._greenlet.kill()

    def rate(self, key: str) -> float:
        """Return the deliveries per second to a subscriber, in the last interval."""
        return self._rates.get(key, (0, 0.0))[1]

    def take(self) -> None:
        """Take a sample now, whatever the interval."""
        now, counters = self._clock.monotonic(), self._counters
        before, events, deliveries, failures, counts = self._last
        arrived = list(counters.arrival.counts)
        failed = counters.attempts.total()
        self._last = now, counters.accepted_events, sum(arrived), failed, arrived
        seconds = max(1e-3, now - before)
        new = [count - past for count, past in zip(arrived, counts, strict=True)]
        bounds, (pending, oldest) = counters.arrival.bounds, self._scan_lanes(now, seconds)
        since = None if oldest is None else self._dispatcher.event_times.at(oldest)
        self.kept.append(
            Sample(
                at=self._clock.wall(),
                events=(counters.accepted_events - events) / seconds,
                deliveries=(sum(arrived) - deliveries) / seconds,
                failures=(failed - failures) / seconds,
                arrival_p50=quantile(bounds, new, 0.5),
                arrival_p99=quantile(bounds, new, 0.99),
                pending=pending,
                oldest=0.0 if since is None else max(0.0, self._clock.wall() - since),
            )
        )

    def _scan_lanes(self, now: float, seconds: float) -> tuple[int, int | None]:
        """Update the rate of each lane, and log which have started or stopped failing.

        Return how much is pending, and the sequence number of the oldest event that is.
        """
        pending, rates = 0, dict[str, tuple[int, float]]()
        oldest: int | None = None
        for count, lane in enumerate(list(self._dispatcher.lanes.values()), 1):
            key, delivered = lane.subscriber.key, lane.delivered
            rates[key] = delivered, (delivered - self._rates.get(key, (delivered, 0.0))[0]) / seconds
            pending += lane.backlog
            seq = lane.oldest()
            oldest = seq if oldest is None or (seq is not None and seq < oldest) else oldest
            if not lane.closed and observe(lane, now):
                lane.touch()
                _log_change(lane, self._clock.wall())
            if count % YIELD_EVERY_LANES == 0:
                gevent.sleep(0)
        self._rates = rates
        return pending, oldest

    def _run(self) -> None:
        while True:
            gevent.sleep(max(self._interval_seconds, len(self._dispatcher.lanes) / LANES_PER_SECOND))
            self.take()


def _log_change(lane: Lane, wall: float) -> None:
    """Log, and note in the lane, that a subscriber has started or stopped failing."""
    key = lane.subscriber.key
    if lane.recent.failing:
        lane.notes.append((wall, f"is failing: {lane.last_error}"[:MAX_ERROR]))
        log.warning("subscriber %s is failing: %s", key, lane.last_error, extra={"address": key})
    else:
        lane.notes.append((wall, "is not failing any more"))
        log.info("subscriber %s is not failing any more", key, extra={"address": key})
