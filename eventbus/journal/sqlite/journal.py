"""The embedded journal: a SQLite file, written by one thread of its own in groups.

While one commit runs, what comes next gathers and goes into the following commit, so that publishers who
come at once share one fsync. The event loop never touches the file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gevent
from gevent.event import Event as Signal
from gevent.threadpool import ThreadPool

from eventbus.clock import Clock
from eventbus.errors import JournalError, JournalUnavailable
from eventbus.journal.base import Appended, CommitListener, CommitWatcher, KeptDeadLetter, Page, Usage
from eventbus.journal.sqlite import queries
from eventbus.journal.sqlite.store import Publish, Store
from eventbus.model import Checkpoint, Deferral, Event, LaneRecord, Message, Recovered

T = TypeVar("T")


@dataclass(slots=True)
class _Batch:
    """What goes into one commit, and who waits for it."""

    publishes: list[Publish] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    done: Signal = field(default_factory=Signal)
    answers: list[Appended] = field(default_factory=list)
    error: JournalError | None = None

    def wait(self) -> None:
        """Return when the batch is safe, or raise why it is not."""
        self.done.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)


class SqliteJournal:
    """``eventbus.journal.base.Journal`` on SQLite; ``:memory:`` for one that ends with the process."""

    def __init__(self, path: str, clock: Clock | None = None, store: Store | None = None) -> None:
        self._store = store or Store(path)
        self._clock = clock or Clock()
        self._next = _Batch()
        self._wanted = Signal()
        self._listener: CommitListener = _nobody
        self._watcher: CommitWatcher = _nobody
        self._closed = False

    def open(self) -> Recovered:
        """See Journal.open."""
        self._thread = ThreadPool(1)
        recovered: Recovered = self._call(self._store.open)
        self._writer = gevent.spawn(self._write)
        return recovered

    def listen(self, listener: CommitListener) -> None:
        """See Journal.listen."""
        self._listener = listener

    def watch(self, watcher: CommitWatcher) -> None:
        """See Journal.watch."""
        self._watcher = watcher

    def append(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        """See Journal.append."""
        batch = self._batch()
        number = len(batch.publishes)
        batch.publishes.append(Publish(messages, idempotency_key))
        batch.wait()
        return batch.answers[number]

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See Journal.checkpoint."""
        batch = self._batch()
        batch.checkpoints.append(checkpoint)
        batch.wait()

    def _batch(self) -> _Batch:
        """The batch that gathers now."""
        if self._closed:
            raise JournalUnavailable("The journal is closed.")
        self._wanted.set()
        return self._next

    def _write(self) -> None:
        """Commit what has gathered, again and again."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            batch, self._next = self._next, _Batch()
            self._commit(batch)

    def _commit(self, batch: _Batch) -> None:
        began = self._clock.monotonic()
        try:
            events, batch.answers = self._call(self._store.commit, batch.publishes, batch.checkpoints)
        except JournalError as error:
            batch.error = error
        except Exception as error:
            batch.error = JournalUnavailable(f"The journal could not be written ({error!r}); nothing of this was kept.")
        else:
            self._watcher(self._clock.monotonic() - began, len(events), sum([len(event.body) for event in events]))
            self._listener(events)
        batch.done.set()

    def page(self, after: int, upto: int, limit: int, max_bytes: int) -> Page:
        """See Journal.page."""
        return self._read(queries.page, after, upto, limit, max_bytes)

    def topics(self, after: int, upto: int, limit: int) -> list[tuple[int, str | None, float]]:
        """See Journal.topics."""
        return self._read(queries.topics, after, upto, limit)

    def find(self, seqs: Sequence[int]) -> list[Event]:
        """See Journal.find."""
        return self._read(queries.find, seqs)

    def event(self, event_id: str) -> Event | None:
        """See Journal.event."""
        return self._read(queries.event, event_id)

    def place_of(self, moment: float) -> int:
        """See Journal.place_of."""
        return self._read(queries.place_of, moment)

    def deferred(self, key: str, *, by_seq: bool, limit: int) -> list[Deferral]:
        """See Journal.deferred."""
        return self._read(queries.deferred, key, by_seq, limit)

    def is_deferred(self, seq: int) -> list[Deferral]:
        """See Journal.is_deferred."""
        return self._read(queries.is_deferred, seq)

    def lane(self, key: str) -> LaneRecord | None:
        """See Journal.lane."""
        return self._read(queries.lane, key)

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """See Journal.closed_lanes."""
        return self._read(queries.closed_lanes, before, limit)

    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        """See Journal.dead_letters."""
        return self._read(queries.dead_letters, key, after, limit)

    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        """See Journal.dead_letter."""
        return self._read(queries.dead_letter, letter_id)

    def last_dead_letter(self) -> int:
        """See Journal.last_dead_letter."""
        return self._read(queries.last_dead_letter)

    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        """See Journal.dead_before."""
        return self._read(queries.dead_before, moment, limit)

    def settled_badly(self, seq: int) -> list[tuple[str, str]]:
        """See Journal.settled_badly."""
        return self._read(queries.settled_badly, seq)

    def trim(self, seqs: Sequence[int], forget_before: float) -> int:
        """See Journal.trim."""
        gone: int = self._call(self._store.trim, seqs, forget_before, self._clock.wall())
        return gone

    def usage(self) -> Usage:
        """See Journal.usage."""
        usage: Usage = self._call(self._store.usage)
        return usage

    def close(self) -> None:
        """See Journal.close."""
        if self._closed:
            return
        last = self._batch()
        self._closed = True
        last.done.wait()
        self._writer.kill()
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


def _nobody(*_: object) -> None:
    """Listens, and watches, until somebody does."""
