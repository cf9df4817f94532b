"""The retries of one lane: the next ones in memory, all in the journal. Pure."""

import heapq
import math
from collections.abc import Iterable

from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.limits import DEFAULT_LIMITS
from eventbus.delivery.lane.without_keys import WithoutKeys

#: A retry by what it is ordered by: its due time or sequence number, and a ticket.
Entry = tuple[float, int, Delivery]


class Retries(WithoutKeys):
    """A bounded heap by due time, or by sequence number where the lane is ordered.

    ``count`` is how many wait; those beyond the bound are spilled: they are only in the journal.
    """

    __slots__ = (
        "_first_spilled",
        "_heap",
        "_limit",
        "_ordered",
        "_settled_meanwhile",
        "_ticket",
        "count",
        "removed_rows",
        "unsaved_rows",
    )

    def __init__(self, *, ordered: bool, count: int = 0, limit: int = DEFAULT_LIMITS.retries) -> None:
        self._limit = limit
        self._ordered = ordered
        self._heap: list[Entry] = []
        self._ticket = 0  # breaks ties, so that equals leave in the order they came
        self._first_spilled = -math.inf if count else math.inf
        self.count = count
        self.unsaved_rows: dict[tuple[int, int], Delivery] = {}  # to be written with the next checkpoint
        self.removed_rows: set[tuple[int, int]] = set()  # to be removed with it
        self._settled_meanwhile: set[tuple[int, int]] | None = None  # while rows are being read: not to be taken

    def push(self, delivery: Delivery) -> None:
        """Add a delivery that waits until its ``due``."""
        self.count += 1
        self._save(delivery)
        self._insert(delivery)

    def _save(self, delivery: Delivery) -> None:
        """Have the next checkpoint write a delivery's row."""
        delivery.kept = True
        self.unsaved_rows[delivery.seq, delivery.replay_id] = delivery
        self.removed_rows.discard((delivery.seq, delivery.replay_id))

    def pop(self, now: float) -> Delivery | None:
        """Remove and return the first retry if it is due. Its row stays until ``forget``."""
        if not self.due(now):
            return None
        self.count -= 1
        return heapq.heappop(self._next_heap())[2]

    def forget(self, delivery: Delivery) -> None:
        """Remove the row of a delivery that is settled."""
        if delivery.kept:
            row = delivery.seq, delivery.replay_id
            self.unsaved_rows.pop(row, None)
            self.removed_rows.add(row)
            if self._settled_meanwhile is not None:
                self._settled_meanwhile.add(row)

    def forget_all(self, deliveries: Iterable[Delivery]) -> None:
        """Remove the rows of deliveries that are settled."""
        for delivery in deliveries:
            if delivery.kept:
                self.forget(delivery)

    def due(self, now: float) -> bool:
        """Return whether the first retry in memory may be attempted."""
        heap = self._next_heap()
        return bool(heap) and heap[0][2].due <= now

    def first(self, now: float) -> Delivery | None:
        """Return the first retry in memory if it is due; it stays."""
        return self._next_heap()[0][2] if self.due(now) else None

    def hasten(self, now: float) -> None:
        """Make the first retry in memory due at once."""
        heap = self._next_heap()
        if heap and not self.due(now):
            _, ticket, delivery = heap[0]
            delivery.due = now
            heap[0] = self._key(delivery), ticket, delivery  # it was the first, and is so all the more

    def next_due(self) -> float:
        """Return when the next retry is due or has to be read (monotonic seconds), or inf if none waits."""
        heap = self._next_heap()
        first = heap[0][2].due if heap else math.inf
        return first if self._ordered or not self.spilled else min(first, self._first_spilled)

    def wants_rows(self, now: float) -> bool:
        """Return whether spilled retries should be read back now."""
        if not self.spilled:
            return False
        if self._ordered:
            return not self._heap or self._first_spilled < self._heap[0][0]
        return self._first_spilled <= now and (len(self._heap) < self._limit // 2 or not self.due(now))

    @property
    def spilled(self) -> int:
        """Return how many retries are only in the journal."""
        return self.count - len(self._heap)

    def begin_load(self) -> None:
        """Prepare for rows to be read; the ``removed_rows`` have been removed before."""
        self._settled_meanwhile = set(self.removed_rows)
        self._first_spilled = math.inf

    def load(self, rows: Iterable[Delivery], under_way: Iterable[Delivery], *, more: bool) -> None:
        """Add the first rows, in order; ``more`` tells whether others remain.

        Rows of retries that are in memory, in flight, or were settled while they were read, are ignored.
        """
        here = {(d.seq, d.replay_id) for d in self.in_memory()} | {(d.seq, d.replay_id) for d in under_way}
        here |= self._settled_meanwhile or set()
        self._settled_meanwhile = None
        last = -math.inf
        for delivery in rows:
            last = max(last, self._key(delivery))
            if (delivery.seq, delivery.replay_id) not in here:
                self._ticket += 1
                self._heap.append((self._key(delivery), self._ticket, delivery))
        self._heap.sort(key=lambda entry: entry[:2])  # a sorted list is a heap
        if len(self._heap) > self._limit:
            self._first_spilled = min(self._first_spilled, self._heap[self._limit][0])
            del self._heap[self._limit :]
        if more:
            self._first_spilled = min(self._first_spilled, last)

    def take_rows(self, rows: Iterable[Delivery], under_way: Iterable[Delivery]) -> list[Delivery]:
        """Remove and return the rows read since ``begin_load``, but for those in flight or settled meanwhile."""
        busy = {(d.seq, d.replay_id) for d in under_way} | (self._settled_meanwhile or set())
        self._settled_meanwhile = None
        taken = {(d.seq, d.replay_id): d for d in rows if (d.seq, d.replay_id) not in busy}
        here = [entry for entry in self._heap if (entry[2].seq, entry[2].replay_id) in taken]
        taken |= {(entry[2].seq, entry[2].replay_id): entry[2] for entry in here}
        self._heap = [entry for entry in self._heap if (entry[2].seq, entry[2].replay_id) not in taken]
        heapq.heapify(self._heap)
        self.count -= len(taken)
        self._first_spilled = -math.inf if self.spilled else math.inf
        return list(taken.values())

    def take_out(self, seq: int) -> list[Delivery]:
        """Remove and return the retries of an event that may be attempted next: those in memory."""
        found = remove_from(self._heap, seq)
        self.count -= len(found)
        return found

    def drop_row(self, seq: int, replay_id: int) -> None:
        """Remove a retry that is only in the journal."""
        self.count -= 1
        self.removed_rows.add((seq, replay_id))

    def hasten_all(self, now: float) -> int:
        """Make all due that wait for their backoff, as the journal's rows are by now; return how many."""
        for delivery in (*self.unsaved_rows.values(), *self.in_memory()):
            if math.isfinite(delivery.due):
                delivery.due = min(delivery.due, now)
        self._rebuild()
        if self.spilled:
            self.expect_rows()
        return self.attemptable

    @property
    def attemptable(self) -> int:
        """Return how many wait for their backoff, and not for anything else."""
        return self.count

    def _rebuild(self) -> None:
        """Order what is in memory again: its due times have changed."""
        self._heap = [(self._key(delivery), ticket, delivery) for _, ticket, delivery in self._heap]
        heapq.heapify(self._heap)

    def expect_rows(self) -> None:
        """Have rows read as soon as possible: others have put some into the journal that ``count`` includes."""
        self._first_spilled = -math.inf

    def reorder(self, *, ordered: bool) -> None:
        """Sort by sequence number, or by due time, from now on."""
        if ordered != self._ordered:
            self._ordered = ordered
            self._rebuild()
            self._first_spilled = -math.inf if self.spilled else math.inf

    def take_all(self) -> list[Delivery]:
        """Remove and return all retries in memory."""
        taken = self.in_memory()
        self.count -= len(taken)
        self._heap.clear()
        return taken

    def clear(self) -> None:
        """Drop everything; the caller removes the rows in the journal."""
        self.count = 0
        self._heap.clear()
        self.unsaved_rows.clear()
        self.removed_rows.clear()

    def is_behind(self, delivery: Delivery) -> bool:
        """Return whether a delivery in flight has to wait for an earlier one, in flight with it, that has failed."""
        return self._ordered and bool(self._heap) and self._heap[0][0] < delivery.seq

    def take_over(self, former: "Retries") -> None:
        """Begin with what waits in the journal and is to be saved there, which was another order's until now."""
        self.count = former.count
        self.unsaved_rows, self.removed_rows = former.unsaved_rows, former.removed_rows
        self.expect_rows()

    def in_memory(self) -> list[Delivery]:
        """Return the retries in memory, in no order."""
        return [delivery for _, _, delivery in self._heap]

    def _next_heap(self) -> list[Entry]:
        """Return the heap that the next retry is in."""
        return self._heap

    def _key(self, delivery: Delivery) -> float:
        return delivery.seq if self._ordered else delivery.due

    def _insert(self, delivery: Delivery) -> None:
        self._ticket += 1
        heapq.heappush(self._heap, (self._key(delivery), self._ticket, delivery))
        if len(self._heap) > self._limit:
            latest = max(self._heap)
            self._heap.remove(latest)
            heapq.heapify(self._heap)
            self._first_spilled = min(self._first_spilled, latest[0])


def remove_from(heap: list[Entry], seq: int) -> list[Delivery]:
    """Remove and return the retries of an event from a heap."""
    found = [delivery for _, _, delivery in heap if delivery.seq == seq]
    if found:
        heap[:] = [entry for entry in heap if entry[2].seq != seq]
        heapq.heapify(heap)
    return found
