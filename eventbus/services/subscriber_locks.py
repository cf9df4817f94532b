"""Locks by subscriber: nobody else registers, deregisters or moves a subscriber while its lock is held."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gevent.lock import RLock

#: Locks: subscribers share them by the hash of their addresses.
LOCK_COUNT = 64


class SubscriberLocks:
    """A fixed number of reentrant locks, however many subscribers there are."""

    def __init__(self) -> None:
        self._locks = tuple(RLock() for _ in range(LOCK_COUNT))

    @contextmanager
    def hold(self, *keys: str) -> Iterator[None]:
        """Hold the locks of these subscribers while the block runs."""
        with ExitStack() as stack:
            for index in sorted({hash(key) % LOCK_COUNT for key in keys}):  # in one order, so that there is no deadlock
                stack.enter_context(self._locks[index])
            yield
