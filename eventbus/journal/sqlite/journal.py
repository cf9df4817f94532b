"""The embedded journal: a SQLite file, written in groups by one thread of its own. The event loop never touches it."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, TypeVar

import gevent
from gevent.hub import get_hub
from gevent.lock import BoundedSemaphore

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalUnavailable
from eventbus.core.log_once import LogOnce
from eventbus.core.override import override
from eventbus.core.records import Checkpoint, Recovered
from eventbus.core.schedule import ScheduleState
from eventbus.journal.backup import JournalBackup
from eventbus.journal.base import (
    CommitListener,
    KeptDeadLetter,
    Usage,
)
from eventbus.journal.group_commit import CommitResult, GroupCommit, Publish
from eventbus.journal.queried import QueriedJournal
from eventbus.journal.schedule import ScheduleChange
from eventbus.journal.sqlite.backup import PAUSE_SECONDS, open_copy, removed
from eventbus.journal.sqlite.disk import DiskState
from eventbus.journal.sqlite.journal_thread import JournalThread
from eventbus.journal.sqlite.queries import SqliteQueries
from eventbus.journal.sqlite.store import Store

#: Seconds between two inspections of the journal's files and the room on their disk.
INSPECT_INTERVAL_SECONDS = 1.0
#: Reads of a kind that may be under way at once: what makes room for publishers waits behind them.
MAX_READS = 2

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class SqliteJournal(QueriedJournal):
    """The journal in a SQLite file; ``:memory:`` for one that ends with the process."""

    def __init__(
        self, path: str, clock: Clock | None = None, store: Store | None = None, *, max_bytes: int = 0
    ) -> None:
        """Name the file; with ``max_bytes``, the journal's limit, room is reserved for a disk that is full."""
        self._store = store or Store(path, max_bytes)
        self._clock = clock or Clock()
        self._files_log, self._full_log, self._reserve_log = LogOnce(), LogOnce(), LogOnce()
        self._reads = BoundedSemaphore(MAX_READS)
        self._walks = BoundedSemaphore(MAX_READS)  # through the journal, which make room in it: they wait for no others
        self._copying = BoundedSemaphore(1)
        self._closing = False
        self._group = GroupCommit(self._commit, self._clock)

    @override
    def open(self) -> Recovered:
        self._thread = JournalThread()
        recovered: Recovered = self._call(self._store.open)
        self._group.start()
        self._inspector = gevent.spawn(self._inspect_disk)
        return recovered

    @override
    def listen(self, listener: CommitListener) -> None:
        self._group.listen(listener)

    @override
    def schedule_state(self) -> ScheduleState:
        state: ScheduleState = self._call(self._store.schedule_state)
        return state

    def _commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], changes: Sequence[ScheduleChange]
    ) -> CommitResult:
        kept: CommitResult = self._thread.call(self._store.commit, publishes, checkpoints, changes, urgent=True)
        return kept

    def _inspect_disk(self) -> None:
        """Inspect the files and the room on the disk again and again, and log what has changed."""
        while True:
            gevent.sleep(INSPECT_INTERVAL_SECONDS)
            state: DiskState = self._call(self._store.inspect)
            if state.files:
                if self._files_log.raised():
                    log.error(
                        "%s while the bus ran: nothing is accepted; put it back, or start the bus again", state.files
                    )
            elif self._files_log.cleared():
                log.info("the journal's files are where they were again")
            if state.full:
                if self._full_log.raised():
                    log.warning("the disk is full: using the reserve to remove settled events")
            elif self._full_log.cleared():
                log.info("the disk has room again")
            if state.reserve and self._reserve_log.raised():
                log.warning("no room can be reserved for a full disk: %s", state.reserve)

    @override
    def wait_durable(self) -> None:
        """Return at once: what was saved is on the one disk that there is."""

    @override
    def probe(self) -> None:
        self._call(self._store.probe, self._clock.monotonic())

    @override
    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        self._call(self._store.give_up_bodies, letters)

    @override
    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None = None) -> int:
        parts: list[list[int]] = self._call(self._store.trim_parts, seqs) if seqs else []
        wall = self._clock.wall()
        return sum(self._call(self._store.trim, part, forget_before, max_key_bytes, wall) for part in parts or [[]])

    @override
    def usage(self) -> Usage:
        usage: Usage = self._call(self._store.usage)
        return usage

    @override
    def backup(self, wanted: Callable[[], bool]) -> JournalBackup:
        def between() -> None:
            if self._closing or not wanted():
                raise JournalUnavailable("The backup was given up: nobody waits for it, or the bus is stopping.")
            self._thread.run_others(PAUSE_SECONDS)

        with self._copying:
            path, last_seq = self._call(self._store.backup, between)
            with removed(path):
                backup: JournalBackup = get_hub().threadpool.apply(open_copy, (path, last_seq))
        return backup

    @override
    def close(self) -> None:
        if self._group.closed:
            return
        self._closing = True  # ends a backup
        self._copying.acquire()
        self._inspector.kill()
        self._group.close()
        self._call(self._store.close)
        self._thread.stop()

    @property
    @override
    def _queries(self) -> SqliteQueries:
        return self._store.queries

    @override
    def _read(self, query: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        walks = query.__name__ in {"topics", "sizes", "sample"}
        with self._walks if walks else self._reads:
            result: T = self._call(self._store.read, partial(query, *values, **options))
        return result

    def _call(self, function: Callable[..., Any], *values: object) -> Any:
        """Run on the journal's thread; other greenlets go on meanwhile."""
        return self._thread.call(function, *values)
