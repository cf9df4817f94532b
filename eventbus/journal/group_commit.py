"""Group commit: what comes while one commit runs goes into the next one, together.

So publishers who come at once share the wait for the disk, and nobody waits longer than two commits.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import gevent
from gevent.event import Event as Signal

from eventbus.core.clock import Clock
from eventbus.core.columns import body_bytes, ids_of
from eventbus.core.errors import Conflict, JournalError, JournalUnavailable, KeyReused
from eventbus.core.model import Event, Message
from eventbus.core.records import Checkpoint
from eventbus.core.schedule import ScheduleState
from eventbus.journal.base import Appended, CommitListener, CommitWatcher
from eventbus.journal.publish_digest import compared_content
from eventbus.journal.schedule import Cancel, ChangeResult, Move, ScheduleChange


@dataclass(frozen=True, slots=True)
class Publish:
    """Messages that are kept together, or not at all."""

    messages: Sequence[Message]
    idempotency_key: str | None
    content: str = ""  # a digest of the messages, where there is a key
    letters: Sequence[int] = ()  # the dead letters that they are published for
    due_at: float | None = None  # where they are scheduled

    @property
    def ids(self) -> tuple[str, ...]:
        """The messages' ids, in order."""
        return ids_of(self.messages)

    @property
    def size(self) -> int:
        """Bytes of the messages' bodies."""
        return body_bytes(self.messages)


#: The result of a publish for dead letters of which one was not to be published any more.
NOT_PUBLISHED = Appended((), duplicate=True)
#: The result of one publish: an error if the rest of its batch is kept, and it is not.
PublishResult = Appended | JournalError | KeyReused


class CommitResult(NamedTuple):
    """The new events, the result of each publish, and the errors of checkpoints that are not kept, by their numbers.

    ``moved`` of the events, the last ones, were scheduled before; ``scheduled`` are messages that are from now on.
    ``changed`` are the results of changes of the schedule.
    """

    events: list[Event]
    results: Sequence[PublishResult]
    conflicts: Mapping[int, Conflict] = MappingProxyType({})
    changed: Sequence[ChangeResult] = ()
    scheduled: Sequence[Message] = ()
    moved: int = 0


#: Keeps all of it, or raises JournalError and keeps nothing.
Commit = Callable[[Sequence[Publish], Sequence[Checkpoint], Sequence[ScheduleChange]], CommitResult]


@dataclass(slots=True)
class _Batch:
    """What goes into one commit."""

    publishes: list[Publish] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    changes: list[ScheduleChange] = field(default_factory=list)
    done: Signal = field(default_factory=Signal)
    results: Sequence[PublishResult] = ()
    conflicts: Mapping[int, Conflict] = field(default_factory=dict)
    changed: Sequence[ChangeResult] = ()
    error: JournalError | None = None

    def wait(self) -> None:
        """Return when the batch is durable. Raises JournalError if it is not kept."""
        self.done.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)


class GroupCommit:
    """Collects what is to be written, and commits it in one batch after another, on a greenlet of its own."""

    def __init__(self, commit: Commit, clock: Clock) -> None:
        self._commit = commit
        self._clock = clock
        self._next = _Batch()
        self._has_work = Signal()
        self._listener: CommitListener = _ignore
        self._watcher: CommitWatcher = _ignore
        self.closed = False

    def start(self) -> None:
        """Begin to commit."""
        self._writer = gevent.spawn(self._write)

    def listen(self, listener: CommitListener) -> None:
        """Call the listener with the events of each commit from now on."""
        self._listener = listener

    def watch(self, watcher: CommitWatcher) -> None:
        """Call the watcher with the time and size of each commit from now on."""
        self._watcher = watcher

    def append(
        self,
        messages: Sequence[Message],
        idempotency_key: str | None = None,
        letters: Sequence[int] = (),
        due_at: float | None = None,
        terms: str = "",
    ) -> Appended:
        """Keep messages, all or none; see Journal.append."""
        content = compared_content(messages, idempotency_key, terms)
        batch = self._batch()
        number = len(batch.publishes)
        batch.publishes.append(Publish(messages, idempotency_key, content, letters, due_at))
        batch.wait()
        result = batch.results[number]
        if not isinstance(result, Appended):
            raise result.with_traceback(None)
        return result

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save a checkpoint, all of it or nothing. Raises JournalError and Conflict."""
        batch = self._batch()
        number = len(batch.checkpoints)
        batch.checkpoints.append(checkpoint)
        batch.wait()
        if number in batch.conflicts:
            raise batch.conflicts[number].with_traceback(None)

    def move_due(self, now: float, limit: int, max_bytes: int) -> ScheduleState:
        """Make events of scheduled messages that are due; see Journal.move_due."""
        result = self._change(Move(now, limit, max_bytes))
        if not isinstance(result, ScheduleState):
            raise TypeError(f"a move has the result {result!r}")
        return result

    def cancel(self, event_id: str, at: float) -> float | None:
        """Remove a scheduled event; see Journal.cancel."""
        result = self._change(Cancel(event_id, at))
        if isinstance(result, ScheduleState):
            raise TypeError(f"a cancellation has the result {result!r}")
        return result

    def _change(self, change: ScheduleChange) -> ScheduleState | float | None:
        batch = self._batch()
        number = len(batch.changes)
        batch.changes.append(change)
        batch.wait()
        result = batch.changed[number]
        if isinstance(result, JournalError):
            raise result.with_traceback(None)
        return result

    def refuse_waiting(self, reason: str) -> None:
        """Refuse what waits for the next commit: nothing of that is kept."""
        batch, self._next = self._next, _Batch()
        batch.error = JournalUnavailable(reason)
        batch.done.set()

    def close(self) -> None:
        """Finish what was begun, and accept nothing more."""
        last = self._batch()
        self.closed = True
        last.done.wait()
        self._writer.kill()

    def _batch(self) -> _Batch:
        """Return the batch for the next commit, which begins soon."""
        if self.closed:
            raise JournalUnavailable("The journal is closed.")
        self._has_work.set()
        return self._next

    def _write(self) -> None:
        """Commit batch after batch."""
        while True:
            self._has_work.wait()
            self._has_work.clear()
            batch, self._next = self._next, _Batch()
            self._save(batch)

    def _save(self, batch: _Batch) -> None:
        began = self._clock.monotonic()
        try:
            kept = self._commit(batch.publishes, batch.checkpoints, batch.changes)
        except JournalError as error:
            batch.error = error
        except Exception as error:
            batch.error = JournalUnavailable(f"The journal could not be written ({error!r}); nothing of this was kept.")
        else:
            batch.results, batch.conflicts, batch.changed = kept.results, kept.conflicts, kept.changed
            seconds = self._clock.monotonic() - began
            published: Sequence[Event | Message] = kept.events
            if kept.moved or kept.scheduled:  # each event counts once: when it is accepted
                published = [*published[: len(published) - kept.moved], *kept.scheduled]
            self._watcher(seconds, len(published), body_bytes(published))
            self._listener(kept.events)
        batch.done.set()


def _ignore(*_: object) -> None:
    """Stand in for a listener or a watcher until there is one."""
