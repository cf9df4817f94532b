"""Group commit: while one commit runs, what comes next gathers and goes into the following one.

So publishers who come at once share the wait for the disk, and nobody waits longer than two commits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import gevent
from gevent.event import Event as Signal

from eventbus.core.clock import Clock
from eventbus.core.columns import body_bytes, ids_of
from eventbus.core.errors import JournalError, JournalUnavailable, KeyReused
from eventbus.core.model import Checkpoint, Event, Message
from eventbus.journal.base import Appended, CommitListener, CommitWatcher
from eventbus.journal.publish_digest import compared_content


@dataclass(frozen=True, slots=True)
class Publish:
    """Messages that are kept together, or not at all."""

    messages: Sequence[Message]
    idempotency_key: str | None
    content: str = ""  # a digest of the messages, where there is a key

    @property
    def ids(self) -> tuple[str, ...]:
        """The messages' ids, in order."""
        return ids_of(self.messages)

    @property
    def size(self) -> int:
        """Bytes of the messages' bodies."""
        return body_bytes(self.messages)


#: What became of a publish: an error where the rest of its batch is kept, and it is not.
PublishResult = Appended | JournalError | KeyReused
#: Keeps all of it, or raises and keeps nothing; answers what is new in the journal, and each publish.
CommitResult = tuple[list[Event], Sequence[PublishResult]]
Commit = Callable[[Sequence[Publish], Sequence[Checkpoint]], CommitResult]


@dataclass(slots=True)
class _Batch:
    """What goes into one commit, and who waits for it."""

    publishes: list[Publish] = field(default_factory=list)
    checkpoints: list[Checkpoint] = field(default_factory=list)
    done: Signal = field(default_factory=Signal)
    answers: Sequence[PublishResult] = ()
    error: JournalError | None = None

    def wait(self) -> None:
        """Return when the batch is safe, or raise why it is not."""
        self.done.wait()
        if self.error is not None:
            raise self.error.with_traceback(None)


class GroupCommit:
    """Gathers what is to be written and commits it, one commit after another, on a greenlet of its own."""

    def __init__(self, commit: Commit, clock: Clock) -> None:
        self._commit = commit
        self._clock = clock
        self._next = _Batch()
        self._wanted = Signal()
        self._listener: CommitListener = _nobody
        self._watcher: CommitWatcher = _nobody
        self.closed = False

    def start(self) -> None:
        """Begin to commit."""
        self._writer = gevent.spawn(self._write)

    def listen(self, listener: CommitListener) -> None:
        """See Journal.listen."""
        self._listener = listener

    def watch(self, watcher: CommitWatcher) -> None:
        """See Journal.watch."""
        self._watcher = watcher

    def append(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        """See Journal.append."""
        content = compared_content(messages, idempotency_key)
        batch = self._batch()
        number = len(batch.publishes)
        batch.publishes.append(Publish(messages, idempotency_key, content))
        batch.wait()
        answer = batch.answers[number]
        if not isinstance(answer, Appended):
            raise answer.with_traceback(None)
        return answer

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See Journal.checkpoint."""
        batch = self._batch()
        batch.checkpoints.append(checkpoint)
        batch.wait()

    def give_up(self, why: str) -> None:
        """Refuse what has gathered for the next commit: nothing of that is kept."""
        batch, self._next = self._next, _Batch()
        batch.error = JournalUnavailable(why)
        batch.done.set()

    def close(self) -> None:
        """Finish what was begun, and take nothing more."""
        last = self._batch()
        self.closed = True
        last.done.wait()
        self._writer.kill()

    def _batch(self) -> _Batch:
        """The batch that gathers now."""
        if self.closed:
            raise JournalUnavailable("The journal is closed.")
        self._wanted.set()
        return self._next

    def _write(self) -> None:
        """Commit what has gathered, again and again."""
        while True:
            self._wanted.wait()
            self._wanted.clear()
            batch, self._next = self._next, _Batch()
            self._save(batch)

    def _save(self, batch: _Batch) -> None:
        began = self._clock.monotonic()
        try:
            events, batch.answers = self._commit(batch.publishes, batch.checkpoints)
        except JournalError as error:
            batch.error = error
        except Exception as error:
            batch.error = JournalUnavailable(f"The journal could not be written ({error!r}); nothing of this was kept.")
        else:
            self._watcher(self._clock.monotonic() - began, len(events), body_bytes(events))
            self._listener(events)
        batch.done.set()


def _nobody(*_: object) -> None:
    """Listens, and watches, until somebody does."""
