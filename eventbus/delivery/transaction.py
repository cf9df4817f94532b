"""A transaction: decisions about what was read since it began, which count only while nothing was reset meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass

from eventbus.core.errors import StaleEpoch
from eventbus.delivery.decision import Decision


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a decision is based on was read in one epoch, and the decision is saved in the same one.

    Begin one before reading from the journal (``Checkpointer.transaction``), and decide through it.
    """

    _epoch: int
    _current_epoch: Callable[[], int]
    _decide: Callable[[Decision, "Transaction"], None]
    _introduce: Callable[[Decision, "Transaction"], None]

    @property
    def stale(self) -> bool:
        """Return whether this node has lost all subscriptions since the transaction began."""
        return self._epoch != self._current_epoch()

    def check(self) -> None:
        """Raise StaleEpoch where this node has lost all subscriptions since the transaction began."""
        if self.stale:
            raise StaleEpoch

    def decide(self, decision: Decision) -> None:
        """Save a decision in one commit with all that changed before it, and apply it then.

        Raises StaleEpoch, and what ``Checkpointer.decide`` raises.
        """
        self._decide(decision, self)

    def introduce(self, decision: Decision) -> None:
        """Save a decision about a lane of which nothing else is saved yet; many of these share a commit.

        Raises StaleEpoch, and what ``Checkpointer.decide`` raises.
        """
        self._introduce(decision, self)
