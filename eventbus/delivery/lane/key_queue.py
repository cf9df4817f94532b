"""What waits for one order key: the event that is next, and those behind it. Pure."""

from bisect import insort

from eventbus.delivery.lane.delivery import Delivery


class KeyQueue:
    """The deliveries of one lane and one order key, the oldest first. The ``head`` is attempted, or about to be.

    Those behind it are in memory, as far as there is room, and then only in the journal (``spilled``).
    """

    __slots__ = ("failed", "head", "spilled", "waiting")

    def __init__(self) -> None:
        self.head: tuple[int, int] | None = None  # sequence number and replay id; None while it has to be read
        self.failed: Delivery | None = None  # the head, if an attempt at it has failed: then the key is held
        self.waiting: list[Delivery] = []  # the first of those behind it
        self.spilled = 0  # how many follow that are only in the journal

    def goes_last(self, delivery: Delivery) -> bool:
        """Return whether a delivery comes after all in memory, behind others that are only in the journal."""
        return self.spilled > 0 and (not self.waiting or order(self.waiting[-1]) < order(delivery))

    def insert(self, delivery: Delivery) -> None:
        """Let a delivery wait in memory, by its sequence number."""
        insort(self.waiting, delivery, key=order)


def order(delivery: Delivery) -> tuple[int, int]:
    """Return by what deliveries with the same key are ordered: the sequence number, live before replayed."""
    return delivery.seq, delivery.replay_id
