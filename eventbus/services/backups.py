"""Backups of the journal: one at a time, from the first step of the copy to the last byte that is sent."""

from collections.abc import Callable

from eventbus.core.errors import TooMany
from eventbus.journal.backup import JournalBackup
from eventbus.services.node import Node
from eventbus.telemetry.counters import Counters


class Backups:
    """Makes copies of the journal, and counts them."""

    def __init__(self, node: Node, counters: Counters) -> None:
        self._journal, self._clock = node.journal, node.clock
        self._counters = counters
        self._in_progress = False

    def begin(self, wanted: Callable[[], bool]) -> JournalBackup:
        """Copy the journal; ``end`` has to follow. ``wanted`` is as for ``Journal.backup``.

        Raises TooMany while another backup is in progress, Conflict, NoRoom and JournalError.
        """
        if self._in_progress:
            raise TooMany("A backup is in progress; there is one at a time.")
        self._in_progress = True
        try:
            return self._journal.backup(wanted)
        except BaseException:
            self._in_progress = False
            self._counters.backups["failed"] += 1
            raise

    def end(self, backup: JournalBackup, *, sent: bool) -> None:
        """Close a backup, and count it: ``sent`` says whether the client has got all of it."""
        backup.file.close()
        self._in_progress = False
        self._counters.backups["sent" if sent else "failed"] += 1
        if sent:
            self._counters.backup_at = self._clock.wall()
