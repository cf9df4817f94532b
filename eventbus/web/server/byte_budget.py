"""How many bytes of clients' bodies, and of answers that they do not read, may be held at once. Pure."""

from collections import Counter

from eventbus.core.errors import TooManyStreams

MIB = 1_048_576
#: Bytes of a batch's body.
MAX_BATCH_BYTES = 16 * MIB


class ByteBudget:
    """So many bytes over all clients, of which one peer's take ``per_peer`` at most."""

    def __init__(self, limit: int, per_peer: int) -> None:
        self.limit = limit
        self.per_peer = per_peer
        self.held = 0
        self._by_peer: Counter[str] = Counter()

    def take(self, peer: str, count: int) -> None:
        """Hold so many bytes more. Raises TooManyStreams where there are as many as there may be."""
        if self.held + count > self.limit or self._by_peer[peer] + count > self.per_peer:
            raise TooManyStreams("Clients' bodies and unread answers take as much memory as they may; try again later.")
        self.held += count
        self._by_peer[peer] += count

    def give_back(self, peer: str, count: int) -> None:
        """Hold so many bytes less."""
        self.held -= count
        self._by_peer[peer] -= count
        if not self._by_peer[peer]:
            del self._by_peer[peer]


def budget_of(max_bodies_bytes: int, max_body_bytes: int) -> ByteBudget:
    """Return a budget into which the largest body fits, and into one peer's share of it, too."""
    largest = max(max_body_bytes, MAX_BATCH_BYTES) + MIB
    limit = max(max_bodies_bytes, largest)
    return ByteBudget(limit, max(limit * 3 // 4, largest))
