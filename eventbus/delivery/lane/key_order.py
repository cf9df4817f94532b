"""Which events of a lane that is ordered by key are next, and which of them its keys hold back. Pure.

A key is busy while a delivery of it, its head, is in flight, is about to be, or waits for a retry. Events behind it
wait in memory, and may go along with it in one request. Once the head has failed the key is held: what is behind it
gets rows, which are never due by themselves, so that memory stays bounded and other keys go on. When all of a key that
was in flight is settled, the next one of it is due.
"""

import heapq
import math
from collections.abc import Callable, Sequence

from eventbus.core.override import override
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.key_queue import KeyQueue, order
from eventbus.delivery.lane.keyed_range import KeyedRange
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.retries import Entry, Retries


class KeyOrder(Retries):
    """The queues of the keys, and how an event goes through them.

    Nothing is known of the keys at first: all that waits is in the journal then. Until it is loaded, nothing starts.
    """

    __slots__ = (
        "_fresh_waiting",
        "_heads",
        "_key_of",
        "_keyed",
        "_limits",
        "_ranges",
        "_strangers",
        "_touch",
        "_waiting",
        "freed",
        "loaded",
        "queues",
    )

    def __init__(
        self, limits: LaneLimits, ranges: Callable[[], Sequence[KeyedRange]], touch: Callable[[], None]
    ) -> None:
        """``ranges`` returns those of the lane, the live one first; ``touch`` notes that something has to be saved."""
        super().__init__(ordered=False, limit=limits.retries)
        self._limits, self._ranges, self._touch = limits, ranges, touch
        self._strangers: set[Delivery] = set()  # in flight since before it is known which keys are busy
        self._reset()

    def _reset(self) -> None:
        self.loaded = False
        self.queues: dict[str, KeyQueue] = {}  #: of busy keys
        self.freed: dict[str, None] = {}  #: keys whose next delivery has to be read
        self._heads: list[Entry] = []  # heads of keys that wait for a retry: a heap by due time
        self._keyed = 0  # how many of the retries have a key
        self._waiting = self._fresh_waiting = 0  # deliveries in the queues, in memory: with rows, and without
        self._key_of: dict[tuple[int, int], str] = {}  # of events that may be attempted now, or are, for the first time

    # What is next

    @override
    def sort(self) -> None:
        """Look at the next events, those of replays first, until enough of them may be attempted."""
        if not self.loaded:
            if self.count or self._strangers:
                return
            self.loaded = True
        live, *replays = self._ranges()
        for part in (*replays, live):
            self._sort_range(part)
            if part.unsorted or part.remaining:
                return

    def _sort_range(self, part: KeyedRange) -> None:
        limits = self._limits
        while part.unsorted and len(part.buffered) < limits.ready_events:
            if len(self.unsaved_rows) + len(self.removed_rows) >= limits.unsaved_changes:
                return  # until they are saved
            if not self._admit(part, *part.unsorted[0]):
                return
            part.unsorted.popleft()

    def _admit(self, part: KeyedRange, seq: int, key: str) -> bool:
        """Let an event be attempted, or wait for its key; return false if there is no room for it to wait."""
        if not key:
            part.buffered.append(seq)
            return True
        queue = self.queues.get(key)
        if queue is None:
            if len(self.queues) >= self._limits.order_keys:
                return False
            self._make_ready(part, key, self.queues.setdefault(key, KeyQueue()), seq)
            return True
        delivery = Delivery(seq, part.replay_id, order_key=key)
        if queue.failed is not None or queue.spilled:
            self._add_row(delivery)
            self._wait(queue, delivery)
            return True
        if self._fresh_waiting >= self._limits.waiting_events:
            return False
        queue.insert(delivery)
        self._fresh_waiting += 1
        part.waiting += 1
        return True

    def _make_ready(self, part: KeyedRange, key: str, queue: KeyQueue, seq: int) -> None:
        queue.heads.add((seq, part.replay_id))
        self._key_of[seq, part.replay_id] = key
        part.buffered.append(seq)

    def _lead(self, queue: KeyQueue, delivery: Delivery) -> None:
        """Make a delivery with a row, which is counted, the head of its key."""
        queue.heads.add(order(delivery))
        queue.failed = delivery if delivery.error else None
        self._ticket += 1
        heapq.heappush(self._heads, (delivery.due, self._ticket, delivery))

    def _advance(self, key: str, queue: KeyQueue) -> None:
        """Free a key whose heads are settled for the next delivery behind them."""
        queue.failed = None
        if queue.waiting:
            following = queue.waiting.pop(0)
            if following.kept:
                self._waiting -= 1
                following.due = 0.0  # at once
                self._lead(queue, following)
            else:
                self._fresh_waiting -= 1
                part = self._part(following)
                part.waiting -= 1
                self._make_ready(part, key, queue, following.seq)
        elif queue.spilled:
            self.freed[key] = None
        else:
            del self.queues[key]

    def _part(self, delivery: Delivery) -> KeyedRange:
        return next(part for part in self._ranges() if part.replay_id == delivery.replay_id)

    # What goes along with a head that is in flight

    @override
    def waiting_for(self, delivery: Delivery) -> Sequence[Delivery]:
        queue = self._queue_of(delivery)
        return () if queue is None or not queue.goes_on_after(delivery) else queue.waiting

    @override
    def take_waiting(self, delivery: Delivery, count: int) -> Sequence[Delivery]:
        queue = self._queue_of(delivery)
        if queue is None:
            return ()
        taken, queue.waiting = queue.waiting[:count], queue.waiting[count:]
        queue.heads.update(map(order, taken))
        for following in taken:
            if following.kept:
                self._waiting -= 1
                self._keyed -= 1
                self.count -= 1
            else:
                self._fresh_waiting -= 1
                self._part(following).waiting -= 1
        return taken

    @override
    def is_behind(self, delivery: Delivery) -> bool:
        queue = self._queue_of(delivery)
        return queue is not None and queue.is_behind(delivery)

    def _queue_of(self, delivery: Delivery) -> KeyQueue | None:
        """Return the queue of a delivery that is in flight; None if it has no key, or the keys are not known."""
        key = self._key_of.get(order(delivery), delivery.order_key)
        return self.queues.get(key) if key else None

    # What waits

    def _wait(self, queue: KeyQueue, delivery: Delivery) -> None:
        """Let a delivery with a row wait for its key: in memory as far as there is room."""
        if queue.goes_last(delivery):
            queue.spilled += 1
            return
        queue.insert(delivery)
        self._waiting += 1
        self._shrink(queue)

    def _shrink(self, queue: KeyQueue) -> None:
        while self._waiting > self._limits.retries and queue.waiting:
            last = queue.waiting.pop()
            if not last.kept:
                self._give_row(last)
            self._waiting -= 1
            queue.spilled += 1

    def _give_row(self, delivery: Delivery) -> None:
        """Give a delivery that waits without a row one."""
        self._fresh_waiting -= 1
        self._part(delivery).waiting -= 1
        self._waiting += 1
        self._add_row(delivery)

    def _add_row(self, delivery: Delivery) -> None:
        """Count a row that waits for its key, and have it saved."""
        self.count += 1
        self._keyed += 1
        self._block(delivery)

    def _block(self, delivery: Delivery) -> None:
        delivery.due = math.inf
        self._save(delivery)
        self._touch()
