"""A load on a bus that runs: publishers and subscribers in this process, and a record of what arrived when."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from eventbus.cli.delivered import listening
from eventbus.cli.measured import Measured
from eventbus.client import Bus, Event, Inbox, Seen, Terms

#: Seconds of a lease, renewed while it runs: what is left of a load that was killed is gone after it.
LEASE = 30.0
#: Seconds without a delivery after which what is missing counts as lost.
QUIET = 10.0
#: Seconds between two looks at how much has arrived.
LOOK_EVERY = 0.05


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


@dataclass(slots=True)
class Record:
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


class Run:
    """One load, on a topic of its own."""

    def __init__(self, bus: Bus, host: str, load: Load) -> None:
        self.topic = f"bench.{uuid4().hex}"
        self.record = Record()
        self._bus = bus
        self._host = host
        self._load = load
        self._stopping = threading.Event()

    def measured(self, progress: Callable[[int], object]) -> Measured:
        """Publish, wait until all has arrived, and tell. Raises BusError."""
        with self._subscribers():
            began = time.perf_counter()
            self._publish(progress)
            published = time.perf_counter() - began
            self._wait(progress)
        record, load = self.record, self._load
        return Measured.of(
            load.events, load.subscribers, published, max(record.last_at - began, 0.0), record.arrivals,
            sum(record.arrived.values()),
        )  # fmt: skip

    @contextmanager
    def _subscribers(self) -> Iterator[None]:
        """All of them, registered; deregistered whatever happens."""
        with ExitStack() as stack:
            for number in range(self._load.subscribers):
                inbox = self._inbox(number)
                stack.enter_context(listening(self._bus, inbox, f"{self._host}:0"))
                # Its own thread registers it too, but does not say so where the bus refuses.
                self._bus.register(inbox.address or "", topics=inbox.topics, terms=inbox.terms)
            yield

    def _inbox(self, number: int) -> Inbox:
        """An inbox that remembers no ids: duplicates are counted."""
        inbox = Inbox(self._bus, terms=Terms(lease=LEASE, resume=False), seen=Seen(0))
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
            if time.perf_counter() - since > QUIET:
                return
            time.sleep(LOOK_EVERY)
            progress(len(self.record.arrivals))
