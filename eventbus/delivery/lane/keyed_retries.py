"""The retries of a lane that is ordered by key: those without a key as in any lane, and the heads of keys. Pure."""

import heapq
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from eventbus.core.override import override
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.key_order import KeyOrder
from eventbus.delivery.lane.key_queue import KeyQueue, order
from eventbus.delivery.lane.retries import Entry, remove_from


class KeyedRetries(KeyOrder):
    """The retries, and how those in the journal come into memory."""

    __slots__ = ()

    # Into and out of memory

    @override
    def unload(self, in_flight: Collection[Delivery]) -> None:
        """Give all that waits in memory rows, and forget what is known of the keys."""
        for delivery in in_flight:
            delivery.order_key = self._pop_key(delivery)
        fresh = [Delivery(*event, order_key=self._key_of.get(event)) for event in self.unattempted()]
        for part in self._ranges():
            part.shrink()
            part.buffered.clear()
            part.waiting = 0
        self._heap.clear()
        self._reset()
        self._strangers = set(in_flight)
        self.expect_rows()
        for delivery in fresh:
            self.push(delivery)
            self._touch()

    def begin_reading(self) -> None:
        """Begin to read all rows: each is given to ``admit``, by sequence number, until ``end_reading``."""
        self._reset()

    def admit(self, delivery: Delivery, *, blocked: bool, known: bool) -> None:
        """Add a delivery that has a row.

        Whether its row says that it waits for its key is ``blocked``, and whether it says which key that is ``known``.
        """
        if not known:
            self._save(delivery)
            self._touch()
        if not delivery.order_key:
            return  # it is read by its due time
        self._keyed += 1
        self._attach(delivery.order_key, delivery, blocked=blocked)

    def _attach(self, key: str, delivery: Delivery, *, blocked: bool = False) -> None:
        queue = self.queues.get(key)
        if queue is None:
            self._lead(self.queues.setdefault(key, KeyQueue()), delivery)
            return
        if not blocked:
            self._block(delivery)
        self._wait(queue, delivery)

    def end_reading(self) -> None:
        """Note that all rows were read: events may start from now on."""
        self.loaded = True
        self.expect_rows()  # those without a key
        self.sort()

    def begin_keys(self) -> None:
        """Prepare for the rows of freed keys to be read: not all that are settled are removed from the journal yet."""
        self._settled_meanwhile = set(self.removed_rows)

    def end_keys(self) -> None:
        """Note that the rows of freed keys were read, or could not be."""
        self._settled_meanwhile = None

    def load_key(self, key: str, found: Sequence[Delivery]) -> int:
        """Add the first rows of a key that was freed; return how many others the journal should have, and has not."""
        settled = self._settled_meanwhile or set()
        rows = [delivery for delivery in found if order(delivery) not in settled]
        queue = self.queues[key]
        del self.freed[key]
        queue.waiting = [*rows]
        self._waiting += len(rows)
        queue.spilled -= len(rows)
        missing = 0 if found else queue.spilled
        self.count -= missing
        self._keyed -= missing + min(0, queue.spilled)  # dead letters that were put back are counted, without a key
        if missing or queue.spilled < 0:
            queue.spilled = 0
        self._advance(key, queue)
        self.sort()
        return missing

    @override
    def load(self, rows: Iterable[Delivery], under_way: Iterable[Delivery], *, more: bool) -> None:
        """Add the first rows by due time. One with a key that is not in memory is a dead letter that was put back."""
        in_flight = list(under_way)
        if not self.loaded:
            super().load(rows, in_flight, more=more)
            return
        here = {order(one) for one in (*self.in_memory(), *in_flight)} | (self._settled_meanwhile or set())
        without_key = []
        for delivery in rows:
            if not delivery.order_key:
                without_key.append(delivery)
            elif order(delivery) not in here:
                self._keyed += 1
                self._attach(delivery.order_key, delivery)
        super().load(without_key, in_flight, more=more)
        self.sort()

    @override
    def clear(self) -> None:
        super().clear()
        self._reset()

    # Retries

    @override
    def push(self, delivery: Delivery) -> None:
        self._strangers.discard(delivery)
        key = self._pop_key(delivery)
        if not self.loaded or key:
            self.count += 1
            self._save(delivery)
        if self.loaded and key:
            delivery.order_key = key
            self._keyed += 1
            self._push_back(self.queues[key], delivery)
        elif self.loaded:
            delivery.order_key = ""
            super().push(delivery)
        self.sort()

    def _push_back(self, queue: KeyQueue, delivery: Delivery) -> None:
        """Let a delivery that was in flight wait: for its retry, or for the first of those it was in flight with."""
        if queue.is_behind(delivery):
            queue.heads.remove(order(delivery))
            self._block(delivery)
            self._wait(queue, delivery)
            return
        self._lead(queue, delivery)
        if queue.failed is not None:
            for one in [one for one in queue.waiting if not one.kept]:
                self._give_row(one)
            self._shrink(queue)

    @override
    def take_out(self, seq: int) -> list[Delivery]:
        found = remove_from(self._heads, seq)
        self.count -= len(found)
        self._keyed -= len(found)
        return [*found, *super().take_out(seq)]

    def leads(self, seq: int) -> bool:
        """Return whether a retry of an event is in memory that may be attempted next."""
        return any(delivery.seq == seq for _, _, delivery in (*self._heads, *self._heap))

    @property
    @override
    def attemptable(self) -> int:
        return len(self._heads) + self.count - self._keyed if self.loaded else self.count

    @override
    def _rebuild(self) -> None:
        super()._rebuild()
        self._heads = [(delivery.due, ticket, delivery) for _, ticket, delivery in self._heads]
        heapq.heapify(self._heads)

    @override
    def forget(self, delivery: Delivery) -> None:
        super().forget(delivery)
        self._strangers.discard(delivery)
        key = self._pop_key(delivery)
        queue = self.queues.get(key) if key else None
        if queue is not None and key and order(delivery) in queue.heads:
            queue.heads.remove(order(delivery))
            if not queue.heads:
                self._advance(key, queue)
        self.sort()

    @override
    def forget_all(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self.forget(delivery)

    def _pop_key(self, delivery: Delivery) -> str | None:
        """Return the key of a delivery, empty without one; None where it is not known."""
        key = self._key_of.pop(order(delivery), None)
        return key if key is not None else delivery.order_key

    @override
    def pop(self, now: float) -> Delivery | None:
        has_key = self._next_heap() is self._heads
        delivery = super().pop(now)
        self._keyed -= has_key and delivery is not None
        return delivery

    @override
    def _next_heap(self) -> list[Entry]:
        if not self._heads or not self._heap:
            return self._heads or self._heap
        return min(self._heads, self._heap, key=lambda heap: heap[0][:2])

    @property
    @override
    def spilled(self) -> int:
        return self.count - self._keyed - len(self._heap)

    @override
    def wants_rows(self, now: float) -> bool:
        if not self.loaded:
            return self.count > 0 and not self._strangers
        return bool(self.freed) or super().wants_rows(now)

    @override
    def next_due(self) -> float:
        return -math.inf if self.wants_rows(-math.inf) else super().next_due()

    @override
    def in_memory(self) -> list[Delivery]:
        waiting = [one for queue in self.queues.values() for one in queue.waiting if one.kept]
        return [*super().in_memory(), *(delivery for _, _, delivery in self._heads), *waiting]

    @override
    def unattempted(self) -> Iterator[tuple[int, int]]:
        for part in self._ranges():
            yield from ((seq, part.replay_id) for seq in part.buffered)
        for queue in self.queues.values():
            yield from (order(one) for one in queue.waiting if not one.kept)

    @override
    def held(self) -> list[tuple[str, Delivery]]:
        return [(key, queue.failed) for key, queue in self.queues.items() if queue.failed is not None]
