"""A load on a bus that runs: publishers and subscribers in this process, and a record of what arrived when."""

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

#: Seconds of a lease, renewed while it runs: what is left of a load that was killed is gone after it.
LEASE_SECONDS = 30.0
#: Seconds without a delivery after which what is missing counts as lost.
LOST_AFTER_SECONDS = 10.0
#: Seconds between two looks at how much has arrived.
POLL_INTERVAL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What to publish, over how many connections, to how many subscribers."""

    events: int
    subscribers: int
    size: int  # bytes of a body
    connections: int
    rate: float | None  # publishes a second, over all connections; as fast as it goes where it is None

    @property
    def deliveries(self) -> int:
        """How many should arrive."""
        return self.events * self.subscribers

    def body(self, number: int) -> bytes:
        """The body of an event: its number, and padding."""
        return b"%d" % number + b" " * (self.size - len(b"%d" % number))


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Rates are per second, arrivals seconds from the publish call to the handler."""

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
        cls,
        events: int,
        subscribers: int,
        publishing: float,
        delivering: float,
        arrivals: Sequence[float],
        deliveries: int,
    ) -> Self:
        """From the seconds that publishing and delivering took, the first arrivals, and all deliveries there were."""
        return cls(
            events,
            subscribers,
            _rate(events, publishing),
            _rate(len(arrivals), delivering),
            percentile(arrivals, 50),
            percentile(arrivals, 99),
            events * subscribers - len(arrivals),
            deliveries - len(arrivals),
        )

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        arrival = (
            "no arrival"
            if self.arrival_p50 is None or self.arrival_p99 is None
            else f"{self.arrival_p50 * 1e3:,.1f} ms p50, {self.arrival_p99 * 1e3:,.1f} ms p99"
        )
        return [
            f"publishes   {self.publishes_a_second:,.0f} a second ({pluralize(self.events, 'event')})",
            f"deliveries  {self.deliveries_a_second:,.0f} a second ({pluralize(self.subscribers, 'subscriber')})",
            f"arrival     {arrival}",
            f"lost        {self.lost:,}",
            f"duplicated  {self.duplicated:,}",
        ]


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many percent of the values do not exceed; None of no values."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)] if ranked else None


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds > 0 else 0.0


@dataclass(slots=True)
class LoadRecord:
    """When each event was published, and which subscriber got which how often, on this process's clock."""

    published: dict[int, float] = field(default_factory=dict)
    arrived: Counter[tuple[int, int]] = field(default_factory=Counter)  # by subscriber and event
    arrivals: list[float] = field(default_factory=list)  # seconds from publish to delivery, the first of each
    last_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, subscriber: int, event: Event) -> None:
        """An event has arrived."""
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

    def measured(self, progress: Callable[[int], object]) -> BenchResult:
        """Publish, wait until all has arrived, and tell. Raises BusError."""
        with self._subscribers():
            began = time.perf_counter()
            self._publish(progress)
            published = time.perf_counter() - began
            self._wait(progress)
        record, load = self.record, self._load
        return BenchResult.of(
            load.events, load.subscribers, published, max(record.last_at - began, 0.0), record.arrivals,
            sum(record.arrived.values()),
        )  # fmt: skip

    @contextmanager
    def _subscribers(self) -> Iterator[None]:
        """All of them, registered; deregistered whatever happens."""
        with ExitStack() as stack:
            for number in range(self._load.subscribers):
                inbox = self._inbox(number)
                stack.enter_context(serve_inbox(self._bus, inbox, f"{self._host}:0"))
                # Its own thread registers it too, but does not say so where the bus refuses.
                self._bus.register(inbox.address or "", topics=inbox.topics, terms=inbox.terms)
            yield

    def _inbox(self, number: int) -> Inbox:
        """An inbox that remembers no ids: duplicates are counted."""
        inbox = Inbox(self._bus, terms=Terms(lease=LEASE_SECONDS, resume=False), seen=Seen(0))
        inbox.on(self.topic)(lambda event: self.record.take(number, event))
        return inbox

    def _publish(self, progress: Callable[[int], object]) -> None:
        began = time.perf_counter()
        with ThreadPoolExecutor(self._load.connections) as threads:
            each = range(self._load.connections)
            publishing = [threads.submit(self._publish_share, first, began, progress) for first in each]
            try:
                for done in wait(publishing, return_when=FIRST_EXCEPTION).done:
                    done.result()
            finally:
                self._stopping.set()

    def _publish_share(self, first: int, began: float, progress: Callable[[int], object]) -> None:
        """Every so-manieth event, so that each connection has its share of the rate."""
        load = self._load
        for number in range(first, load.events, load.connections):
            due = began + number / load.rate if load.rate else 0.0
            if self._stopping.wait(max(0.0, due - time.perf_counter())):
                return
            self.record.published[number] = time.perf_counter()
            self._bus.publish(self.topic, load.body(number), content_type="text/plain")
            progress(len(self.record.arrivals))

    def _wait(self, progress: Callable[[int], object]) -> None:
        """Until all has arrived, or nothing more does."""
        since = time.perf_counter()
        while len(self.record.arrivals) < self._load.deliveries:
            since = max(since, self.record.last_at)
            if time.perf_counter() - since > LOST_AFTER_SECONDS:
                return
            time.sleep(POLL_INTERVAL_SECONDS)
            progress(len(self.record.arrivals))
