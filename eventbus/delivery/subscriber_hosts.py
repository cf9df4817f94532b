"""How many lanes lead to a host: by the name in the address, and by what it resolved to at registration."""

from collections import Counter
from collections.abc import Collection, Iterable


class SubscriberHosts:
    """Counts lanes by host names and IP addresses, each lane once for each of its own."""

    __slots__ = ("_counts", "_of", "_unresolved")

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._of: dict[str, frozenset[str]] = {}  # by the lane's key
        self._unresolved: set[str] = set()  # keys of lanes that are counted by the name alone

    def __getitem__(self, host: str) -> int:
        return self._counts[host]

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, key: str, hosts: Iterable[str], *, resolved: bool = True) -> None:
        """Count a lane at these hosts; nothing changes if it is counted already.

        ``resolved`` says whether they are all: after a restart only names are known.
        """
        if key not in self._of:
            found = self._of[key] = frozenset(hosts)
            self._counts.update(found)
            if not resolved:
                self._unresolved.add(key)

    def begin_resolving(self, key: str) -> bool:
        """Return whether a lane is counted by its name alone, and leave it to the caller to find the rest."""
        found = key in self._unresolved
        self._unresolved.discard(key)
        return found

    def resolve(self, key: str, ips: Collection[str]) -> None:
        """Count a lane that is still there at what its name has resolved to, too; with nothing, begin again later."""
        former = self._of.get(key)
        if former is None:
            return
        if not ips:
            self._unresolved.add(key)
        self._of[key] = former.union(ips)
        self._counts.update(self._of[key] - former)

    def of(self, key: str) -> frozenset[str]:
        """Return the hosts of a lane; none if it is not counted."""
        return self._of.get(key, frozenset())

    def remove(self, key: str) -> None:
        """Stop counting a lane."""
        self._unresolved.discard(key)
        for host in self._of.pop(key, ()):
            self._counts[host] -= 1
            if not self._counts[host]:
                del self._counts[host]
