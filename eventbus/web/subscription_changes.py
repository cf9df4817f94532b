"""Who changed which subscription last, so that its owner is told of it with the next renewal. Pure.

Kept in memory, by the node that the subscription belongs to: a restart, and another owner, begin with nothing.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

#: Addresses that are remembered; the one whose change is the oldest is forgotten first.
MOST = 20_000


@dataclass(frozen=True, slots=True)
class Change:
    """When somebody registered an address, changed its terms or deregistered it (seconds since 1970), and who."""

    at: float
    by: str


@dataclass(slots=True)
class Changes:
    """The last change of each subscription."""

    most: int = MOST
    _last: OrderedDict[str, Change] = field(default_factory=OrderedDict)

    def note(self, key: str, at: float, by: str) -> None:
        """Somebody has changed this subscription."""
        self._last[key] = Change(at, by)
        self._last.move_to_end(key)
        if len(self._last) > self.most:
            self._last.popitem(last=False)

    def by_another(self, key: str, client: str) -> Change | None:
        """The last change, where it was not this client's."""
        last = self._last.get(key)
        return None if last is None or last.by == client else last
