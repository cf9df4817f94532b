"""Call the bus from asyncio: each call runs in a thread, so that the loop continues."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from eventbus.client.bus import Bus
from eventbus.client.dead_letters import DeadLetter, Replayed, ReplayOutcome
from eventbus.client.events import Position
from eventbus.client.model import Delivery, Event, Published, PublishedMany, Retried, Skipped
from eventbus.client.subscribers import DryRun, Subscriber, SubscriberList

P = ParamSpec("P")
T = TypeVar("T")
_END = object()


class AsyncBus:
    """A bus whose methods are awaited. It takes the options of ``Bus``."""

    def __init__(self, url: str, **options: Any) -> None:
        self.bus = Bus(url, **options)

    @classmethod
    def of(cls, bus: Bus) -> Self:
        """Make an asyncio client of a bus."""
        made = cls.__new__(cls)
        made.bus = bus
        return made

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a client of the bus at ``EVENTBUS_URL``, as ``Bus.from_env`` does. Raises UsageError."""
        return cls.of(Bus.from_env(**options))

    async def publish(self, topic: str | None, data: Any = b"", **options: Any) -> Published:
        """Publish one event, as ``Bus.publish`` does."""
        return await _in_thread(self.bus.publish, topic, data, **options)

    async def publish_many(self, topic: str | None, items: Iterable[Any], **options: Any) -> PublishedMany:
        """Publish each item as an event, as ``Bus.publish_many`` does."""
        return await _in_thread(self.bus.publish_many, topic, items, **options)

    async def register(self, address: str, **options: Any) -> Subscriber:
        """Register an address, or renew its lease, as ``Bus.register`` does."""
        return await _in_thread(self.bus.register, address, **options)

    async def dry_run(self, address: str, **options: Any) -> DryRun:
        """Return what a registration would be, as ``Bus.dry_run`` does."""
        return await _in_thread(self.bus.dry_run, address, **options)

    async def deregister(self, address: str | None = None, *, group: str | None = None) -> int:
        """Deregister an address or a group, as ``Bus.deregister`` does."""
        return await _in_thread(self.bus.deregister, address, group=group)

    async def subscribers(self, *, expired: bool = False) -> SubscriberList:
        """List the subscribers, as ``Bus.subscribers`` does."""
        return await _in_thread(self.bus.subscribers, expired=expired)

    async def events(
        self, *, after: Position = None, topics: Sequence[str] = (), follow: bool = False
    ) -> AsyncIterator[Event]:
        """Yield events, as ``Bus.events`` does. A task that is cancelled while it waits leaves no thread running."""
        feed = self.bus.events(after=after, topics=topics, follow=follow)
        try:
            while (event := await asyncio.to_thread(next, feed, _END)) is not _END:
                yield event  # type: ignore[misc] # _END is compared by identity
        finally:
            feed.close()

    async def event(self, event_id: str) -> Event:
        """Return one event. Raises NotFound."""
        return await _in_thread(self.bus.event, event_id)

    async def deliveries(self, event_id: str) -> list[Delivery]:
        """Return the deliveries of an event. Raises NotFound."""
        return await _in_thread(self.bus.deliveries, event_id)

    async def scheduled(self) -> AsyncIterator[Event]:
        """Yield the events that wait until they are due, as ``Bus.scheduled`` does."""
        events = self.bus.scheduled()
        while (event := await asyncio.to_thread(next, events, _END)) is not _END:
            yield event  # type: ignore[misc] # as above

    async def cancel(self, event_id: str) -> datetime:
        """Cancel an event that is not due yet, as ``Bus.cancel`` does."""
        return await _in_thread(self.bus.cancel, event_id)

    async def dead_letters(self, **chosen: Any) -> AsyncIterator[DeadLetter]:
        """Yield dead letters, as ``Bus.dead_letters`` does."""
        letters = self.bus.dead_letters(**chosen)
        while (letter := await asyncio.to_thread(next, letters, _END)) is not _END:
            yield letter  # type: ignore[misc] # as above

    async def replay_dead_letters(self, **chosen: Any) -> Replayed:
        """Put dead letters back into the backlog, as ``Bus.replay_dead_letters`` does."""
        return await _in_thread(self.bus.replay_dead_letters, **chosen)

    async def replay_outcome(self, replay: str) -> ReplayOutcome:
        """Return what became of dead letters that were put back. Raises NotFound."""
        return await _in_thread(self.bus.replay_outcome, replay)

    async def discard(self, **chosen: Any) -> int:
        """Discard dead letters, as ``Bus.discard`` does."""
        return await _in_thread(self.bus.discard, **chosen)

    async def replay(self, address: str | None = None, **options: Any) -> int:
        """Deliver a range of the journal again, as ``Bus.replay`` does."""
        return await _in_thread(self.bus.replay, address, **options)

    async def pause(self, address: str | None = None, **options: Any) -> None:
        """Begin no further attempt, as ``Bus.pause`` does."""
        await _in_thread(self.bus.pause, address, **options)

    async def resume(self, address: str | None = None, **options: Any) -> bool:
        """End a pause, as ``Bus.resume`` does."""
        return await _in_thread(self.bus.resume, address, **options)

    async def retry(self, address: str | None = None, **options: Any) -> Retried:
        """Attempt at once what waits for its backoff, as ``Bus.retry`` does."""
        return await _in_thread(self.bus.retry, address, **options)

    async def skip(self, event_id: str, address: str | None = None, **options: Any) -> Skipped:
        """Make an event's pending deliveries dead letters, as ``Bus.skip`` does."""
        return await _in_thread(self.bus.skip, event_id, address, **options)

    async def close(self) -> None:
        """Close the idle connections."""
        await _in_thread(self.bus.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    return await asyncio.to_thread(call, *args, **kwargs)
