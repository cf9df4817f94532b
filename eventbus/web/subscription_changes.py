"""The last change of each subscription and who made it, reported to its owner with the next renewal. Pure.

It is kept in memory on the node that owns the subscription, and lost by a restart and by a change of ownership.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

#: Addresses that are remembered; the one with the oldest change is forgotten first.
MAX_ADDRESSES = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """When (seconds since 1970) and by whom an address was registered, changed or deregistered."""

    at: float
    by: str


@dataclass(slots=True)
class Changes:
    """Remembers the last change of each subscription."""

    limit: int = MAX_ADDRESSES
    _last: OrderedDict[str, Change] = field(default_factory=OrderedDict)

    def note(self, key: str, at: float, by: str) -> None:
        """Remember a change of a subscription."""
        self._last[key] = Change(at, by)
        self._last.move_to_end(key)
        if len(self._last) > self.limit:
            self._last.popitem(last=False)

    def by_another(self, key: str, client: str) -> Change | None:
        """Return the last change unless this client made it."""
        last = self._last.get(key)
        return None if last is None or last.by == client else last
