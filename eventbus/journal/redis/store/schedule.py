"""The schedule of a journal on Redis: its rows, its queries and its changes. Each change is one script."""

from collections.abc import Sequence
from typing import Any

import redis

from eventbus.core.errors import JournalError, JournalTimeout
from eventbus.core.model import Message
from eventbus.core.override import override
from eventbus.core.schedule import DuePosition, ScheduledEvent, ScheduleState
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.commit_plan import EVENT_OVERHEAD
from eventbus.journal.redis.store.rows import topic_of, topic_text
from eventbus.journal.redis.store.server import translate_errors
from eventbus.journal.schedule import (
    CANCELLED_SECONDS,
    MAX_CANCELLED,
    ChangeResult,
    Move,
    ScheduleChange,
    ScheduleQueries,
)

UNKNOWN = "whether this was done is not known: ask again"
#: Characters of the number in a scheduled event's member, before a colon and its id.
_NUMBER_DIGITS = 16


def scheduled_member(event: ScheduledEvent) -> str:
    """Return what stands for a scheduled event among those by due time; see ``scripts/shared/schedule.lua``."""
    return f"{event.number:0{_NUMBER_DIGITS}d}:{event.message.id}"


def scheduled_id(member: bytes) -> str:
    """Return the id of the scheduled event that a member stands for."""
    return member[_NUMBER_DIGITS + 1 :].decode()


def scheduled_row(event: ScheduledEvent) -> bytes:
    """Write a scheduled event, without its id."""
    message = event.message
    topic, key = topic_text(message.topic).encode(), message.key.encode()
    first = f"{event.number} {event.due_at!r} {message.accepted_at!r} {len(topic)} {len(message.head)} {len(key)}\n"
    return b"".join((first.encode(), topic, message.head, key, message.body))


def scheduled_of(event_id: str, row: bytes) -> ScheduledEvent:
    """Parse a scheduled event."""
    first, _, rest = row.partition(b"\n")
    number, due_at, accepted_at, *sizes = first.split(b" ")
    topic, head, key = map(int, sizes)
    parts = rest[:topic], rest[topic : topic + head], rest[topic + head : topic + head + key]
    body = rest[topic + head + key :]
    message = Message(event_id, topic_of(parts[0]), parts[1], body, float(accepted_at), parts[2].decode())
    return ScheduledEvent(int(number), float(due_at), message)


def _state_of(answer: Sequence[Any]) -> ScheduleState:
    """Return what is scheduled, as scripts answer it."""
    count, next_due = answer
    return ScheduleState() if next_due is None else ScheduleState(count, float(next_due))


class RedisSchedule(ScheduleQueries):
    """Reads and changes the schedule through a client. Reading raises RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        scripts = (client.register_script(script(name)) for name in ("scheduled", "move_due", "cancel"))
        self._page, self._move, self._cancel = scripts

    def schedule_state(self) -> ScheduleState:
        """Return how many events are scheduled, and when the next one is due."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.zcard(keys.SCHEDULED)
        pipeline.execute_command("ZRANGE", keys.SCHEDULED, 0, 0, "WITHSCORES")
        count, first = pipeline.execute()
        return _state_of((count, first[1] if first else None))

    @override
    def scheduled(self, after: DuePosition, limit: int, max_bytes: int) -> list[ScheduledEvent]:
        found = self._page(keys=[keys.NODES], args=[repr(after.due_at), after.number, limit, max_bytes])
        return [scheduled_of(scheduled_id(member), row) for member, row in zip(found[::2], found[1::2], strict=True)]

    @override
    def scheduled_event(self, event_id: str) -> ScheduledEvent | None:
        row: Any = self._redis.hget(keys.SCHEDULED_ROWS, event_id)
        return None if row is None else scheduled_of(event_id, row)

    @override
    def cancelled_at(self, event_id: str) -> float | None:
        return self._redis.zscore(keys.CANCELLED, event_id)

    def change(self, change: ScheduleChange) -> ChangeResult:
        """Change the schedule, or return why it was not changed as far as is known."""
        try:
            with translate_errors("could not be written"):
                if isinstance(change, Move):
                    args: list[Any] = [repr(change.now), change.limit, change.max_bytes]
                    return _state_of(self._move(keys=[keys.NODES], args=args))
                args = [change.event_id, repr(change.at), EVENT_OVERHEAD]
                args += [repr(change.at - CANCELLED_SECONDS), MAX_CANCELLED]
                at = self._cancel(keys=[keys.NODES], args=args)
                return None if at is None else float(at)
        except JournalError as error:
            if isinstance(error.__cause__, redis.ConnectionError | redis.TimeoutError | OSError):
                return JournalTimeout(f"The journal does not answer ({error.__cause__}); {UNKNOWN}.")
            return error
