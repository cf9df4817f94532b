"""The SQLite database of a journal: one connection, used by one thread, knowing nothing of greenlets."""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from eventbus.core.errors import JournalError, JournalFull, JournalUnavailable
from eventbus.core.records import Checkpoint, Recovered
from eventbus.core.schedule import ScheduleState
from eventbus.core.settings import MEMORY
from eventbus.journal.base import KeptDeadLetter, Usage
from eventbus.journal.copy.copying import Mark, refusal
from eventbus.journal.group_commit import CommitResult, Publish
from eventbus.journal.schedule import Cancel, ScheduleChange
from eventbus.journal.sqlite import file, schedule, statements
from eventbus.journal.sqlite.backup import copy_journal, remove_leftover
from eventbus.journal.sqlite.batch import BatchWriter, Totals, fits_one_statement, insert_events, read_totals
from eventbus.journal.sqlite.connection import connect
from eventbus.journal.sqlite.disk import Disk, DiskState
from eventbus.journal.sqlite.error_mapping import opening
from eventbus.journal.sqlite.idempotency_keys import expired_keys
from eventbus.journal.sqlite.queries import SqliteQueries
from eventbus.journal.sqlite.schema import copy_mark
from eventbus.journal.sqlite.wal_owner import check_log, log_origin, mark_log
from eventbus.journal.sqlite.write_probe import WriteProbe

T = TypeVar("T")


class Store:
    """Writes the journal through ``commit``: one transaction, one fsync."""

    def __init__(self, path: str, max_bytes: int = 0) -> None:
        """Name the file, and the journal's limit if room is to be reserved on its disk."""
        self._path = path
        self._real = MEMORY if path == MEMORY else os.path.realpath(path)
        self._disk = Disk(self._real, 0 if path == MEMORY else max_bytes)
        self._origin: int | None = None  # of the log, where the journal's file keeps it
        self._totals = Totals()
        self._probe = WriteProbe()

    def open(self) -> Recovered:
        """Open or create the database, and read what the bus starts from. Raises JournalError."""
        remarks = self.connect()
        with opening(self._path):
            if (mark := self.mark()) is not None:
                self._db.close()
                raise refusal(self._path, Mark.from_json(mark))
            recovered = self.queries.recovered(remarks)
            self._totals = read_totals(self._db, recovered.last_seq)
            if self._path != MEMORY:
                self._disk.begin(self._path, self._db)
                remove_leftover(self._real)
                with suppress(JournalError):  # tried again before anything is written
                    self._own_log()
            return recovered

    def connect(self) -> tuple[str, ...]:
        """Open or create the database, even an unfinished copy; return what was repaired, as sentences."""
        remarks: list[str] = []
        with opening(self._path):
            if self._path != MEMORY:
                remarks = file.prepare(self._real)
                self._origin = check_log(self._real)
            self._db = connect(self._real)
            self.queries = SqliteQueries(self._db)
        return tuple(remarks)

    def mark(self) -> str | None:
        """Return the mark of an unfinished copy as JSON; None for a journal."""
        return copy_mark(self._db)

    def commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], changes: Sequence[ScheduleChange] = ()
    ) -> CommitResult:
        """Keep all of it in one transaction, or raise and keep nothing.

        On a full disk only publishes and moves are refused: what else there is is still saved, since that makes room.
        """
        self._disk.check()
        if self._origin is None:
            self._own_log()
        try:
            if publishes:
                self._disk.admit(sum([publish.size for publish in publishes]))
            kept: CommitResult = self._transact(publishes, checkpoints, changes)
        except JournalFull as error:
            cancels = [change for change in changes if isinstance(change, Cancel)]
            if not checkpoints and not cancels:
                raise
            saved = iter(self._disk.on_reserve(self._transact, (), checkpoints, cancels).changed)
            changed = [next(saved) if isinstance(change, Cancel) else error for change in changes]
            kept = CommitResult([], [error] * len(publishes), changed=changed)
        self._disk.verify(events=bool(kept.events))
        return kept

    def _own_log(self) -> None:
        """Write the origin of the log into the journal's file."""
        if self._path != MEMORY and self._origin is None:
            self._origin = self._disk.on_reserve(self._mark_log)

    def _mark_log(self) -> int:
        try:
            return mark_log(self._db, self._real)
        except sqlite3.Error as error:
            self._roll_back()
            raise self._disk.failed(error) from error

    def _transact(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], changes: Sequence[ScheduleChange]
    ) -> CommitResult:
        try:
            # One statement is a transaction of its own, unless a rollback has failed and left another one open.
            if not checkpoints and not changes and fits_one_statement(publishes) and not self._db.in_transaction:
                result = insert_events(self._db, publishes, self._totals.last_seq)
                totals = self._totals._replace(last_seq=self._totals.last_seq + len(result.events))
            else:
                batch = BatchWriter(self._db, self._totals)
                self._db.execute("BEGIN IMMEDIATE")
                result = batch.write(publishes, checkpoints, changes)
                self._db.execute("COMMIT")
                totals = batch.totals
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise self._disk.failed(error) from error
            raise
        self._totals = totals
        return result

    def probe(self, now: float) -> None:
        """Raise what writing raises now, or has within the last second. Raise nothing for a full disk."""
        self._disk.check()
        self._probe.run(now, self._try_to_write)

    def _try_to_write(self) -> None:
        """Write what changes nothing: a row is removed and put back, since SQLite skips a write of the same."""
        self._disk.admit(0)
        self._removing(self._rewrite_last)

    def _rewrite_last(self) -> None:
        self._db.execute("DELETE FROM places WHERE name = 'last'")
        self._save_last()

    def trim_parts(self, seqs: Sequence[int]) -> list[list[int]]:
        """Divide what is to be trimmed into parts, each for one call of ``trim``, so that commits run in between."""
        return self.read(self.queries.trim_parts, seqs, self._disk.trim_size)

    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None, wall: float) -> int:
        """Trim one part; see Journal.trim."""
        self._disk.check()
        expired, totals = expired_keys(self._db, self._totals.keys, wall, max_key_bytes)
        if not seqs and not expired and not statements.has_discards_before(self._db, forget_before):
            return 0  # nothing is written for nothing
        trimmed = self._disk.on_reserve(self._trim, seqs, forget_before)
        if expired:
            self._disk.on_reserve(self._forget_keys, expired)
            self._totals = self._totals._replace(keys=totals)
        return trimmed

    def _trim(self, seqs: Sequence[int], forget_before: float) -> int:
        def change() -> int:
            removed = statements.trim(self._db, seqs, forget_before)
            self._save_last()
            return removed

        return self._removing(change)

    def _save_last(self) -> None:
        self._db.execute("INSERT OR REPLACE INTO places VALUES ('last', ?)", (self._totals.last_seq,))

    def _forget_keys(self, keys: Sequence[str]) -> None:
        self._removing(lambda: statements.forget_keys(self._db, keys))

    def _removing(self, change: Callable[[], T]) -> T:
        """Remove something in a transaction of its own. Raises JournalError."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            done = change()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._disk.failed(error) from error
        return done

    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        """Detach dead letters from the bodies of their events. Raises JournalError."""
        self._disk.check()
        self._disk.on_reserve(self._removing, lambda: statements.give_up_bodies(self._db, letters))

    def change(self, change: Callable[..., object], *values: object) -> None:
        """Run a change in a transaction of its own. Raises JournalError."""
        try:
            self._removing(lambda: change(self._db, *values))
        except BaseException:
            self._roll_back()
            raise

    def schedule_state(self) -> ScheduleState:
        """Return what is scheduled. Raises JournalUnavailable."""
        return self.export(schedule.read_state, self._totals.scheduled)

    def read(self, query: Callable[..., T], *values: object) -> T:
        """Run one of the ``queries``. Raises JournalUnavailable."""
        try:
            return query(*values)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The journal cannot be read just now ({error}).") from error

    def export(self, query: Callable[..., T], *values: object) -> T:
        """Run a query that takes the connection. Raises JournalUnavailable."""
        return self.read(query, self._db, *values)

    def usage(self) -> Usage:
        """Return the bytes and events in use, and how many bytes the disk allows."""
        used_bytes, events = self.queries.usage()
        return Usage(used_bytes, events, max_bytes=self._disk.max_bytes())

    def inspect(self) -> DiskState:
        """Inspect the disk, and whether SQLite has started another log. Called once a second."""
        state = self._disk.inspect()
        found = log_origin(Path(f"{self._real}-wal")) if self._origin is not None and not state.files else None
        if found is not None and found[0] != self._origin:
            self._origin = None  # SQLite has started another log: the next commit writes its origin
        return state

    def backup(self, between: Callable[[], None]) -> tuple[Path, int]:
        """Copy the journal; return the copy, and the newest sequence number in it. See ``copy_journal``."""
        return copy_journal(self._db, self._real, self._disk, between), self._totals.last_seq

    def close(self) -> None:
        """Move the log into the database, as far as there is room, and close the file."""
        with self._disk.sparing_log() as may_empty:
            try:
                if may_empty:
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._db.close()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
