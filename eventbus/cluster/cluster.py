"""The other buses that share the journal, as this one asks about them; and a bus that shares with nobody."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from eventbus.core.model import LaneRecord
from eventbus.journal.cluster_journal import Nodes


class Cluster(Protocol):
    """The buses that are one bus together with this one."""

    @property
    def nodes(self) -> Nodes | None:
        """How to ask the others; None where there are none."""

    def claim(self, key: str) -> None:
        """Make an address's lane this bus's. Raises Elsewhere where another bus has it, and JournalError."""

    def find(self, key: str) -> None:
        """The same for a lane that is kept and that nobody has; nothing where there is none."""

    def has(self, key: str) -> bool:
        """Whether another bus cares for an address. Raises JournalError."""

    def reach(self, topics: Iterable[str | None]) -> int:
        """How many subscribers of other buses get events with one of these topics."""

    def try_acquire_trimmer(self) -> bool:
        """Whether it is this bus that removes settled events for all. Raises JournalError."""

    def records(self) -> Sequence[LaneRecord]:
        """What the lanes of other buses have to do, as they saved it last. Raises JournalError."""

    def withdraw(self) -> None:
        """Let others have the lanes from now on, each as soon as nothing is under way for it."""

    def stop(self) -> None:
        """Take part no more."""


class SingleNode:
    """No company: every lane is this bus's."""

    nodes = None

    def claim(self, key: str) -> None:
        """See Company.claim."""

    def find(self, key: str) -> None:
        """See Company.find."""

    def has(self, _key: str) -> bool:
        """See Company.has."""
        return False

    def reach(self, _topics: Iterable[str | None]) -> int:
        """See Company.reach."""
        return 0

    def try_acquire_trimmer(self) -> bool:
        """See Company.trims."""
        return True

    def records(self) -> Sequence[LaneRecord]:
        """See Company.records."""
        return ()

    def withdraw(self) -> None:
        """See Company.withdraw."""

    def stop(self) -> None:
        """See Company.stop."""
