"""The counters of one lane, and whether they are saved. Pure."""

from typing import Any

from eventbus.core.model import Account, DeadLetter, LaneRecord
from eventbus.delivery.lane.recent_attempts import RecentAttempts


class LaneAccount:
    """Counts where a subscriber's deliveries went: accepted = pending + delivered + dead + discarded."""

    def __init__(self, record: LaneRecord) -> None:
        account = record.account
        self.accepted, self.delivered = account.accepted, account.delivered
        self.dead, self.discarded = account.dead, account.discarded
        self.failed_attempts = record.failed_attempts
        self.former_attempts = record.former_attempts  # those of earlier registrations, successes included
        self.recent = RecentAttempts(self.delivered, self.failed_attempts)
        self.dead_letters: list[DeadLetter] = []  # to be written with the next checkpoint
        self.dirty = False  # it has changed since the last checkpoint, and stands among the changed ones
        self.changed: list[Any] = []  # where those that have changed are collected

    def touch(self) -> None:
        """Something has changed: the next checkpoint saves it."""
        if not self.dirty:
            self.dirty = True
            self.changed.append(self)

    def count_discarded(self, count: int) -> None:
        """So many dead letters are discarded."""
        self.dead -= count
        self.discarded += count
        self.touch()

    @property
    def account(self) -> Account:
        """The counters."""
        return Account(self.accepted, self.delivered, self.dead, self.discarded)
