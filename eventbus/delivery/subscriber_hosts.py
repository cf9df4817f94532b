"""How many lanes lead to a host: by the name in the address, and by what it resolved to at registration."""

from collections import Counter
from collections.abc import Iterable


class SubscriberHosts:
    """Counts lanes by host names and IP addresses, each lane once for each of its own."""

    __slots__ = ("_counts", "_of")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._of: dict[str, frozenset[str]] = {}  # by the lane's key

    def __getitem__(self, host: str) -> int:
        return self._counts[host]

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: str, hosts: Iterable[str]) -> None:
        """Count a lane at these hosts; nothing changes if it is counted already."""
        if key not in self._of:
            found = self._of[key] = frozenset(hosts)
            self._counts.update(found)

    def of(self, key: str) -> frozenset[str]:
        """Return the hosts of a lane; none if it is not counted."""
        return self._of.get(key, frozenset())

    def remove(self, key: str) -> None:
        """Stop counting a lane."""
        for host in self._of.pop(key, ()):
            self._counts[host] -= 1
            if not self._counts[host]:
                del self._counts[host]
