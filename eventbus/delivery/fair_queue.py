"""A queue in which everybody who waits has a turn before anybody has a second one. Pure."""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items by whose they are: round robin over those who have some, and each one's in order."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()  # who is next, first
        self._count = 0

    def put(self, whose: str, item: T) -> None:
        """Add an item, at the end of its owner's."""
        self._waiting.setdefault(whose, deque()).append(item)
        self._count += 1

    def pop(self) -> T:
        """Remove and return the next item; its owner is the last to have another one."""
        whose, items = next(iter(self._waiting.items()))
        item = items.popleft()
        self._count -= 1
        if items:
            self._waiting.move_to_end(whose)
        else:
            del self._waiting[whose]
        return item

    def __len__(self) -> int:
        return self._count
