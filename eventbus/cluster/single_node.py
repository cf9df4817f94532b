"""A cluster of one node: it owns every subscription."""

from collections.abc import Collection, Iterable, Sequence

from eventbus.cluster.base import Cluster, LocalSubscriptions
from eventbus.core.override import override
from eventbus.core.records import LaneRecord


class SingleNode(Cluster):
    """The cluster of a bus that shares its journal with nobody."""

    @property
    @override
    def nodes(self) -> None:
        return None

    @override
    def start(self, local: LocalSubscriptions) -> None:
        """Do nothing: there are no peers."""

    @override
    def stop(self) -> None:
        """Do nothing: there are no peers."""

    @override
    def claim(self, key: str) -> None:
        """Do nothing: this node owns all."""

    @override
    def find(self, key: str) -> None:
        """Do nothing: this node has all that are kept."""

    @override
    def subscription_of(self, address: str) -> None:
        """Return None: this node has all in memory."""

    @override
    def owned_by_peer(self, key: str) -> bool:
        return False

    @property
    @override
    def declared_grace_seconds(self) -> float:
        return 0.0

    @override
    def declare(self, names: Collection[str]) -> Collection[str]:
        return names

    @override
    def reach(self, topics: Iterable[str | None]) -> int:
        return 0

    @override
    def try_acquire_trimmer(self) -> bool:
        return True

    @override
    def records(self) -> Sequence[LaneRecord]:
        return ()

    @override
    def withdraw(self) -> None:
        """Do nothing: no peer could acquire anything."""
