"""A load on a running bus: publishers and subscribers in this process, and what they measure."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from uuid import uuid4

from eventbus.cli.local_subscriber import serve_inbox
from eventbus.cli.screen import pluralize
from eventbus.client import Bus, Event, Inbox, Seen, Terms

#: Seconds of a lease, which is renewed meanwhile: the subscribers of a killed load are gone after it.
LEASE_SECONDS = 30.0
#: Seconds without a delivery after which what is missing counts as lost.
LOST_AFTER_SECONDS = 10.0
#: Seconds between two checks of how many events have arrived.
POLL_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What to publish, over how many connections, to how many subscribers."""

    events: int
    subscribers: int
    size: int  # bytes of a body
    connections: int
    rate: float | None  # publishes per second, over all connections; None for as many as possible

    @property
    def deliveries(self) -> int:
        """Return how many deliveries are expected."""
        return self.events * self.subscribers

    def body(self, number: int) -> bytes:
        """Return the body of an event: its number, and padding."""
        return b"%d" % number + b" " * (self.size - len(b"%d" % number))


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The result of a load: rates per second, and seconds from the publish call to the handler."""

    events: int
    subscribers: int
    publishes_a_second: float
    deliveries_a_second: float
    arrival_p50: float | None
    arrival_p99: float | None
    lost: int
    duplicated: int

    @classmethod
    def of(
        cls, load: Load, publish_seconds: float, delivery_seconds: float, arrivals: Sequence[float], deliveries: int
    ) -> Self:
        """Evaluate the seconds that it took, the seconds of each first arrival, and the number of all deliveries."""
        return cls(
            load.events,
            load.subscribers,
            _rate(load.events, publish_seconds),
            _rate(len(arrivals), delivery_seconds),
            percentile(arrivals, 50),
            percentile(arrivals, 99),
            load.deliveries - len(arrivals),
            deliveries - len(arrivals),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the result for people."""
        latency = (
            "unknown: nothing arrived"
            if self.arrival_p50 is None or self.arrival_p99 is None
            else f"p50 {self.arrival_p50 * 1e3:,.1f} ms, p99 {self.arrival_p99 * 1e3:,.1f} ms"
        )
        subscribers = pluralize(self.subscribers, "subscriber")
        return [
            f"publish rate        {self.publishes_a_second:,.0f} per second ({pluralize(self.events, 'event')})",
            f"delivery rate       {self.deliveries_a_second:,.0f} per second ({subscribers})",
            f"end-to-end latency  {latency}",
            f"lost                {self.lost:,}",
            f"duplicated          {self.duplicated:,}",
        ]


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the smallest value that so many percent of the values do not exceed; None of no values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else None


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


@dataclass(slots=True)
class LoadRecord:
    """When each event was published, and how often each subscriber got it, on this process's clock."""

    published: dict[int, float] = field(default_factory=dict)
    arrived: Counter[tuple[int, int]] = field(default_factory=Counter)  # by subscriber and event
    arrivals: list[float] = field(default_factory=list)  # seconds from publish to delivery, the first of each
    last_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, subscriber: int, event: Event) -> None:
        """Record that an event has arrived."""
        now, number = time.perf_counter(), int(event.body)
        with self._lock:
            self.last_at = now
            self.arrived[subscriber, number] += 1
            if self.arrived[subscriber, number] == 1:
                self.arrivals.append(now - self.published[number])


class LoadRun:
    """One load, on a topic of its own."""

    def __init__(self, bus: Bus, host: str, load: Load) -> None:
        self.topic = f"bench.{uuid4().hex}"
        self.record = LoadRecord()
        self._bus = bus
        self._host = host
        self._load = load
        self._stopping = threading.Event()

    def run(self, show_progress: Callable[[int], object]) -> LoadResult:
        """Publish, and wait until all has arrived. ``show_progress`` gets the number of arrivals. Raises BusError."""
        with self._subscribers():
            began = time.perf_counter()
            self._publish(show_progress)
            published = time.perf_counter() - began
            self._wait(show_progress)
        record = self.record
        delivered = max(record.last_at - began, 0.0)
        return LoadResult.of(self._load, published, delivered, record.arrivals, sum(record.arrived.values()))

    @contextmanager
    def _subscribers(self) -> Iterator[None]:
        """Register all of them; deregister them whatever happens."""
        with ExitStack() as stack:
            for number in range(self._load.subscribers):
                inbox = self._inbox(number)
                stack.enter_context(serve_inbox(self._bus, inbox, f"{self._host}:0"))
                # The inbox's own thread registers it too, but raises nothing where the bus refuses.
                self._bus.register(inbox.address or "", topics=inbox.topics, terms=inbox.terms)
            yield

    def _inbox(self, number: int) -> Inbox:
        """Make an inbox that remembers no ids: duplicates are counted."""
        inbox = Inbox(self._bus, terms=Terms(lease=LEASE_SECONDS, resume=False), seen=Seen(0))
        inbox.on(self.topic)(lambda event: self.record.add(number, event))
        return inbox

    def _publish(self, show_progress: Callable[[int], object]) -> None:
        began = time.perf_counter()
        with ThreadPoolExecutor(self._load.connections) as threads:
            each = range(self._load.connections)
            publishing = [threads.submit(self._publish_share, first, began, show_progress) for first in each]
            try:
                for done in wait(publishing, return_when=FIRST_EXCEPTION).done:
                    done.result()
            finally:
                self._stopping.set()

    def _publish_share(self, first: int, began: float, show_progress: Callable[[int], object]) -> None:
        """Publish every n-th event of n connections, so that each connection has its share of the rate."""
        load = self._load
        for number in range(first, load.events, load.connections):
            due = began + number / load.rate if load.rate else 0.0
            if self._stopping.wait(max(0.0, due - time.perf_counter())):
                return
            self.record.published[number] = time.perf_counter()
            self._bus.publish(self.topic, load.body(number), content_type="text/plain")
            show_progress(len(self.record.arrivals))

    def _wait(self, show_progress: Callable[[int], object]) -> None:
        """Wait until all has arrived, or nothing has for LOST_AFTER_SECONDS."""
        since = time.perf_counter()
        while len(self.record.arrivals) < self._load.deliveries:
            since = max(since, self.record.last_at)
            if time.perf_counter() - since > LOST_AFTER_SECONDS:
                return
            time.sleep(POLL_INTERVAL_SECONDS)
            show_progress(len(self.record.arrivals))
