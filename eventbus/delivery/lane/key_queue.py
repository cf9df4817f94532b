"""What waits for one order key: the events that are next, and those behind them. Pure."""

from bisect import insort

from eventbus.delivery.lane.delivery import Delivery


class KeyQueue:
    """The deliveries of one lane and one order key, the oldest first.

    The ``heads`` are attempted, or about to be, or wait for a retry: one, or those that are in flight together in a
    batch. Those behind are in memory, as far as there is room, and then only in the journal (``spilled``).
    """

    __slots__ = ("failed", "heads", "spilled", "waiting")

    def __init__(self) -> None:
        self.heads: set[tuple[int, int]] = set()  # sequence numbers and replay ids; none while the next has to be read
        self.failed: Delivery | None = None  # the first head, if an attempt at it has failed: then the key is held
        self.waiting: list[Delivery] = []  # the first of those behind
        self.spilled = 0  # how many follow that are only in the journal

    def goes_on_after(self, head: Delivery) -> bool:
        """Return whether the first of those behind is later than a head; one of a replay may be earlier."""
        return bool(self.waiting) and order(head) < order(self.waiting[0])

    def is_behind(self, delivery: Delivery) -> bool:
        """Return whether one of the heads has to be settled before another one of them is attempted again."""
        return order(delivery) != min(self.heads)

    def goes_last(self, delivery: Delivery) -> bool:
        """Return whether a delivery comes after all in memory, behind others that are only in the journal."""
        return self.spilled > 0 and (not self.waiting or order(self.waiting[-1]) < order(delivery))

    def insert(self, delivery: Delivery) -> None:
        """Let a delivery wait in memory, by its sequence number."""
        insort(self.waiting, delivery, key=order)


def order(delivery: Delivery) -> tuple[int, int]:
    """Return by what deliveries with the same key are ordered: the sequence number, live before replayed."""
    return delivery.seq, delivery.replay_id
