"""What the journals have in common: how they hand over queries to what reads, and writes to what commits in groups."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Event, Message
from eventbus.core.override import override
from eventbus.core.records import Checkpoint, FailedDelivery, LaneRecord, Retry
from eventbus.core.schedule import DuePosition, ScheduledEvent, ScheduleState
from eventbus.journal.base import (
    FIRST_ROW,
    Appended,
    CommitWatcher,
    EventName,
    Journal,
    JournalQueries,
    KeptDeadLetter,
    Page,
    Redelivery,
    Row,
)
from eventbus.journal.group_commit import GroupCommit

P = ParamSpec("P")
T = TypeVar("T")


class QueriedJournal(Journal):
    """A journal that reads through its ``_queries``, and commits through its ``_group``."""

    _group: GroupCommit

    @property
    @abstractmethod
    def _queries(self) -> JournalQueries:
        """What reads the open journal."""

    @abstractmethod
    def _read(self, query: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        """Run a query where it does not block the event loop. Raises JournalUnavailable."""

    @override
    def watch(self, watcher: CommitWatcher) -> None:
        self._group.watch(watcher)

    @override
    def append(
        self,
        messages: Sequence[Message],
        idempotency_key: str | None = None,
        letters: Sequence[int] = (),
        due_at: float | None = None,
        terms: str = "",
    ) -> Appended:
        return self._group.append(messages, idempotency_key, letters, due_at, terms)

    @override
    def move_due(self, now: float, limit: int, max_bytes: int) -> ScheduleState:
        return self._group.move_due(now, limit, max_bytes)

    @override
    def cancel(self, event_id: str, at: float) -> float | None:
        return self._group.cancel(event_id, at)

    @override
    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._group.checkpoint(checkpoint)

    @override
    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        return self._read(self._queries.page, after, end, limit, max_bytes)

    @override
    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        return self._read(self._queries.topics, after, end, limit)

    @override
    def sizes(self, after: int, end: int, limit: int) -> list[tuple[int, int]]:
        return self._read(self._queries.sizes, after, end, limit)

    @override
    def find(self, seqs: Sequence[int]) -> list[Event]:
        return self._read(self._queries.find, seqs)

    @override
    def event(self, event_id: str) -> Event | None:
        return self._read(self._queries.event, event_id)

    @override
    def position_at(self, moment: float) -> int:
        return self._read(self._queries.position_at, moment)

    @override
    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        return self._read(self._queries.sample, seqs)

    @override
    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        return self._read(self._queries.names, seqs)

    @override
    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        return self._read(self._queries.retries, key, by_seq=by_seq, limit=limit, after=after)

    @override
    def retries_of_key(self, key: str, order_key: str, limit: int) -> list[Retry]:
        return self._read(self._queries.retries_of_key, key, order_key, limit)

    @override
    def retries_of_event(self, seq: int) -> list[Retry]:
        return self._read(self._queries.retries_of_event, seq)

    @override
    def lane(self, key: str) -> LaneRecord | None:
        return self._read(self._queries.lane, key)

    @override
    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        return self._read(self._queries.closed_lanes, before, limit)

    @override
    def closed_size(self) -> tuple[int, int]:
        return self._read(self._queries.closed_size)

    @override
    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        return self._read(self._queries.newest_closed, skip, limit)

    @override
    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        return self._read(self._queries.dead_letters, key, after, limit)

    @override
    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        return self._read(self._queries.dead_letter, letter_id)

    @override
    def last_dead_letter(self) -> int:
        return self._read(self._queries.last_dead_letter)

    @override
    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        return self._read(self._queries.dead_before, moment, limit)

    @override
    def replay(self, replay_id: str) -> Redelivery | None:
        return self._read(self._queries.replay, replay_id)

    @override
    def unpublished_letters(self, limit: int) -> list[KeptDeadLetter]:
        return self._read(self._queries.unpublished_letters, limit)

    @override
    def scheduled(self, after: DuePosition, limit: int, max_bytes: int) -> list[ScheduledEvent]:
        return self._read(self._queries.scheduled, after, limit, max_bytes)

    @override
    def scheduled_event(self, event_id: str) -> ScheduledEvent | None:
        return self._read(self._queries.scheduled_event, event_id)

    @override
    def cancelled_at(self, event_id: str) -> float | None:
        return self._read(self._queries.cancelled_at, event_id)

    @override
    def failed_deliveries(self, seq: int) -> list[FailedDelivery]:
        return self._read(self._queries.failed_deliveries, seq)
