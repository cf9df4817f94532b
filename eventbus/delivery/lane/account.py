"""The account of one lane, and whether it is saved. Pure."""

from typing import Any

from eventbus.core.model import Account
from eventbus.core.records import DeadLetter, Discard, LaneRecord
from eventbus.delivery.lane.recent_attempts import RecentAttempts


class LaneAccount:
    """Counts a subscription's deliveries: accepted = pending + delivered + filtered + dead + discarded."""

    def __init__(self, record: LaneRecord) -> None:
        account = record.account
        self.accepted, self.delivered = account.accepted, account.delivered
        self.dead, self.discarded, self.filtered = account.dead, account.discarded, account.filtered
        self.failed_attempts = record.failed_attempts
        self.former_attempts = record.former_attempts  # those of earlier registrations, successes included
        self.recent = RecentAttempts(self.delivered, self.failed_attempts)
        self.dead_letters: list[DeadLetter] = []  # to be written with the next checkpoint
        self.discards: list[Discard] = []  # the same
        self.filtered_rows: list[tuple[int, int]] = []  # dead letters that were put back, and did not match: the same
        self._saved_deliveries = self.delivered  # when the lane was saved last
        self.dirty = False  # whether it has changed since the last checkpoint, and is among the changed lanes
        self._changed_lanes: list[Any] = []  # the checkpointer's, where lanes that have changed put themselves

    def touch(self) -> None:
        """Have the next checkpoint save what has changed."""
        if not self.dirty:
            self.dirty = True
            self._changed_lanes.append(self)

    def report_changes_to(self, changed_lanes: list[Any]) -> None:
        """Put this lane into a list at its first change after each checkpoint; at once where it has changed already."""
        self._changed_lanes = changed_lanes
        if self.dirty:
            changed_lanes.append(self)

    def clear_changes(self) -> None:
        """Forget what has changed: it is in a checkpoint."""
        self.dirty = False
        self._saved_deliveries = self.delivered
        self.dead_letters.clear()
        self.discards.clear()
        self.filtered_rows.clear()

    @property
    def unsaved_deliveries(self) -> int:
        """Return how many deliveries a crash would repeat, beside those in flight."""
        return self.delivered - self._saved_deliveries

    def count_discarded(self, count: int) -> None:
        """Count dead letters as discarded."""
        self.dead -= count
        self.discarded += count
        self.touch()

    @property
    def account(self) -> Account:
        """Return the counters."""
        return Account(self.accepted, self.delivered, self.dead, self.discarded, self.filtered)
