"""The embedded journal: a SQLite file, written in groups by one thread of its own. The event loop never touches it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import gevent
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from eventbus.core.clock import Clock
from eventbus.core.journal_quota import SampledEvent
from eventbus.core.log_once import LogOnce
from eventbus.core.model import Checkpoint, Event, LaneRecord, Message, Recovered, Retry
from eventbus.core.override import override
from eventbus.journal.base import (
    Appended,
    CommitListener,
    CommitWatcher,
    Journal,
    KeptDeadLetter,
    Page,
    Redelivery,
    Usage,
)
from eventbus.journal.group_commit import CommitResult, GroupCommit, Publish
from eventbus.journal.sqlite import queries
from eventbus.journal.sqlite.disk import DiskState
from eventbus.journal.sqlite.store import Store

#: Seconds between two looks at the journal's files and the room on their disk.
LOOK_SECONDS = 1.0
#: Pages that may be asked for at once: commits, which publishers wait for, stand in line behind them.
MAX_PAGES = 2

log = logging.getLogger(__name__)

T = TypeVar("T")


class SqliteJournal(Journal):
    """``eventbus.journal.base.Journal`` on SQLite; ``:memory:`` for one that ends with the process."""

    def __init__(
        self, path: str, clock: Clock | None = None, store: Store | None = None, *, max_bytes: int = 0
    ) -> None:
        """Name the file; with ``max_bytes``, the journal's limit, room is kept back for a disk that is full."""
        self._store = store or Store(path, max_bytes)
        self._clock = clock or Clock()
        self._files, self._full, self._unkept = LogOnce(), LogOnce(), LogOnce()
        self._pages = BoundedSemaphore(MAX_PAGES)
        self._group = GroupCommit(self._commit, self._clock)

    @override
    def open(self) -> Recovered:
        self._thread = ThreadPool(1)
        recovered: Recovered = self._call(self._store.open)
        self._group.start()
        self._looker = gevent.spawn(self._look_after_disk)
        return recovered

    @override
    def listen(self, listener: CommitListener) -> None:
        self._group.listen(listener)

    @override
    def watch(self, watcher: CommitWatcher) -> None:
        self._group.watch(watcher)

    @override
    def append(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        return self._group.append(messages, idempotency_key)

    @override
    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._group.checkpoint(checkpoint)

    def _commit(self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]) -> CommitResult:
        kept: CommitResult = self._call(self._store.commit, publishes, checkpoints)
        return kept

    def _look_after_disk(self) -> None:
        """Look whether the files are still there, and whether the disk has room; say what has changed."""
        while True:
            gevent.sleep(LOOK_SECONDS)
            state: DiskState = self._call(self._store.inspect)
            if state.files:
                if self._files.raised():
                    log.error(
                        "%s while the bus ran: nothing is accepted; put it back, or start the bus again", state.files
                    )
            elif self._files.cleared():
                log.info("the journal's files are where they were again")
            if state.full:
                if self._full.raised():
                    log.warning("the disk is full: room that was kept back is used to remove settled events")
            elif self._full.cleared():
                log.info("the disk has room again")
            if state.reserve and self._unkept.raised():
                log.warning("no room can be kept back for a full disk: %s", state.reserve)

    @override
    def wait_durable(self) -> None:
        """Return at once: what was saved is on the one disk that there is."""

    @override
    def probe(self) -> None:
        self.checkpoint(Checkpoint(self._clock.wall(), 0))

    @override
    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        with self._pages:
            return self._read(queries.page, after, end, limit, max_bytes)

    @override
    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        return self._read(queries.topics, after, end, limit)

    @override
    def find(self, seqs: Sequence[int]) -> list[Event]:
        return self._read(queries.find, seqs)

    @override
    def event(self, event_id: str) -> Event | None:
        return self._read(queries.event, event_id)

    @override
    def position_at(self, moment: float) -> int:
        return self._read(queries.position_at, moment)

    @override
    def retries(self, key: str, *, by_seq: bool, limit: int) -> list[Retry]:
        return self._read(queries.retries, key, by_seq, limit)

    @override
    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        return self._read(queries.sample, seqs)

    @override
    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        self._call(self._store.give_up_bodies, letters)

    @override
    def retries_of_event(self, seq: int) -> list[Retry]:
        return self._read(queries.retries_of_event, seq)

    @override
    def lane(self, key: str) -> LaneRecord | None:
        return self._read(queries.lane, key)

    @override
    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        return self._read(queries.closed_lanes, before, limit)

    @override
    def closed_size(self) -> tuple[int, int]:
        return self._read(queries.closed_size)

    @override
    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        return self._read(queries.newest_closed, skip, limit)

    @override
    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        return self._read(queries.dead_letters, key, after, limit)

    @override
    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        return self._read(queries.dead_letter, letter_id)

    @override
    def last_dead_letter(self) -> int:
        return self._read(queries.last_dead_letter)

    @override
    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        return self._read(queries.dead_before, moment, limit)

    @override
    def replay(self, replay_id: str) -> Redelivery | None:
        return self._read(queries.replay, replay_id)

    @override
    def failed_deliveries(self, seq: int) -> list[tuple[str, str]]:
        return self._read(queries.failed_deliveries, seq)

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
    def close(self) -> None:
        if self._group.closed:
            return
        self._looker.kill()
        self._group.close()
        self._call(self._store.close)
        self._thread.kill()

    def _read(self, query: Callable[..., T], *values: object) -> T:
        result: T = self._call(self._store.read, query, *values)
        return result

    def _call(self, function: Callable[..., Any], *values: object) -> Any:
        """Run on the journal's thread; other greenlets go on meanwhile."""
        result, error = self._thread.apply(_outcome, (function, values))
        if error is not None:
            raise error
        return result


def _outcome(function: Callable[..., Any], values: tuple[object, ...]) -> tuple[Any, Exception | None]:
    """Bring an error back as a value: gevent prints what is raised on another thread."""
    try:
        return function(*values), None
    except Exception as error:
        return None, error
