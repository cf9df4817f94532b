"""The handlers of an inbox, and what each has to do for a request."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from eventbus.client.batches import response_to_batch
from eventbus.client.dispatch import BUSY, DUPLICATE, IGNORED, STOPPING, InboxResponse
from eventbus.client.encoding import check_patterns
from eventbus.client.handling import Handler, Handling, InFlight, Job
from eventbus.client.model import Event
from eventbus.client.seen import EventStatus, Memory
from eventbus.core.topics import matches

H = TypeVar("H", bound=Handler)


class TopicHandler(NamedTuple):
    """A handler, and the topics that it wants; () is every topic."""

    patterns: tuple[str, ...]
    handler: Handler
    takes_list: bool


class Handlers:
    """The handlers of an inbox, in the order they were added: the first that matches gets an event."""

    def __init__(self) -> None:
        self._handlers: list[TopicHandler] = []

    def adder(self, patterns: Iterable[str], *, takes_list: bool) -> Callable[[H], H]:
        """Return what makes a function a handler. Raises UsageError."""
        chosen = check_patterns(patterns)

        def add(handler: H) -> H:
            self._handlers.append(TopicHandler(chosen, handler, takes_list))
            return handler

        return add

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topics that handlers want; () is every topic."""
        if not all(one.patterns for one in self._handlers):  # one of them wants every topic
            return ()
        return tuple(dict.fromkeys(pattern for one in self._handlers for pattern in one.patterns))

    def of(self, topic: str | None) -> TopicHandler | None:
        """Return the handler of a topic."""
        return next((one for one in self._handlers if matches(one.patterns, topic)), None)


class Work:
    """One request: iterate over it, run each handler within its Handling, and take the ``response`` then."""

    def __init__(
        self, handlers: Handlers, seen: Memory, in_flight: InFlight, events: Sequence[Event], *, is_batch: bool
    ) -> None:
        self._handlers, self._seen, self._in_flight = handlers, seen, in_flight
        self._events, self._is_batch = events, is_batch
        self._responses: dict[int, InboxResponse] = {}  # by the event's index in the request

    @property
    def response(self) -> InboxResponse:
        """Return the response to the request, once all handlers have ended."""
        responses = [self._responses[index] for index in range(len(self._events))]
        return response_to_batch(self._events, responses) if self._is_batch else responses[0]

    def __iter__(self) -> Iterator[Handling]:
        """Yield what is to be done: a list of events for a handler that takes lists, else an event at a time."""
        for chosen, indices in self._shares():
            wanted = [index for index in indices if self._begin(index)]
            if not wanted:
                continue
            job = Job([self._events[index] for index in wanted], chosen.handler, chosen.takes_list)
            if not self._in_flight.begin():
                for index in wanted:
                    self._seen.forget(self._events[index].id)
                    self._responses[index] = STOPPING
                continue
            handling = Handling(self._seen, self._in_flight, job)
            yield handling
            self._responses.update(zip(wanted, handling.responses, strict=True))

    def _shares(self) -> list[tuple[TopicHandler, list[int]]]:
        """Return each handler with the events that it gets in one call; answer those that no handler wants."""
        shares: list[tuple[TopicHandler, list[int]]] = []
        lists: dict[TopicHandler, list[int]] = {}
        for index, event in enumerate(self._events):
            chosen = self._handlers.of(event.topic)
            if chosen is None:
                self._responses[index] = IGNORED
            elif chosen in lists:
                lists[chosen].append(index)
            else:
                shares.append((chosen, [index]))
                if chosen.takes_list:
                    lists[chosen] = shares[-1][1]
        return shares

    def _begin(self, index: int) -> bool:
        """Mark an event as busy; return False, and set its response, if it was handled or is being handled."""
        status = self._seen.begin(self._events[index].id)
        if status is EventStatus.NEW:
            return True
        self._responses[index] = DUPLICATE if status is EventStatus.DONE else BUSY
        return False
