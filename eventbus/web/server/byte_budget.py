"""A limit on the bytes of request bodies and unread responses that are held in memory. Pure."""

from collections import Counter

from eventbus.core.errors import TooManyStreams

MIB = 1_048_576
#: Bytes in the body of a batch, at most.
MAX_BATCH_BYTES = 16 * MIB
#: Bytes that a request holds beside the largest body, at most: heads, or the events of which a page is made.
BESIDE_BODY_BYTES = 5 * MIB


class ByteBudget:
    """Counts held bytes: at most ``limit`` over all clients, and at most ``per_peer`` for one peer."""

    def __init__(self, limit: int, per_peer: int) -> None:
        self.limit = limit
        self.per_peer = per_peer
        self.held = 0
        self._by_peer: Counter[str] = Counter()

    def take(self, peer: str, count: int) -> None:
        """Count ``count`` more bytes. Raises TooManyStreams if that would exceed a limit."""
        if self.held + count > self.limit or self._by_peer[peer] + count > self.per_peer:
            raise TooManyStreams(
                "The memory limit for request bodies and unread responses is reached; try again later."
            )
        self.held += count
        self._by_peer[peer] += count

    def release(self, peer: str, count: int) -> None:
        """Count ``count`` fewer bytes."""
        self.held -= count
        self._by_peer[peer] -= count
        if not self._by_peer[peer]:
            del self._by_peer[peer]


def budget_of(max_bodies_bytes: int, max_body_bytes: int) -> ByteBudget:
    """Return a budget that has room for the largest body, also within one peer's limit."""
    largest = max(max_body_bytes, MAX_BATCH_BYTES) + BESIDE_BODY_BYTES
    limit = max(max_bodies_bytes, largest)
    return ByteBudget(limit, max(limit * 3 // 4, largest))
