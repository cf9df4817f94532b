"""What a lane's retries know of order keys, unless it is ordered by key: nothing. Pure."""

from collections.abc import Collection, Iterable, Sequence

from eventbus.delivery.lane.delivery import Delivery


class WithoutKeys:
    """The answers of retries that look at no order key."""

    __slots__ = ()

    def unattempted(self) -> Iterable[tuple[int, int]]:
        """Yield sequence number and replay id of events that have left their ranges, but wait without a row.

        There are none, unless the lane is ordered by key.
        """
        return ()

    def held(self) -> list[tuple[str, Delivery]]:
        """Return the order keys that are held, and of each the delivery that has failed."""
        return []

    def waiting_for(self, delivery: Delivery) -> Sequence[Delivery]:
        """Return what waits in memory for a delivery that is in flight, in order, and may go along with it."""
        return ()

    def take_waiting(self, delivery: Delivery, count: int) -> Sequence[Delivery]:
        """Remove and return the first ``count`` of those that wait for a delivery in flight: they go along with it."""
        return ()

    def sort(self) -> None:
        """Look at what may be attempted next, after something has changed."""

    def unload(self, in_flight: Collection[Delivery]) -> None:
        """Have the journal hold all that waits, where memory knows more than it; ``in_flight`` goes on."""
