"""The handlers of an inbox, and what each has to do for a request."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from eventbus.client.batches import response_to_batch
from eventbus.client.dispatch import BUSY, DUPLICATE, IGNORED, STOPPING, InboxResponse
from eventbus.client.encoding import check_patterns
from eventbus.client.handling import Handler, Handling, InFlight, Job
from eventbus.client.model import Event
from eventbus.client.ordering import WAITING, BatchOrder
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
    """One request: iterate over it, run each handler within its Handling, and take the ``response`` then.

    ``order`` is that of a batch; it is None for one event that came by itself.
    """

    def __init__(
        self, handlers: Handlers, seen: Memory, in_flight: InFlight, events: Sequence[Event], order: BatchOrder | None
    ) -> None:
        self._handlers, self._seen, self._in_flight = handlers, seen, in_flight
        self._events, self._order = events, order
        self._responses: dict[int, InboxResponse] = {}  # by the event's index in the request

    @property
    def response(self) -> InboxResponse:
        """Return the response to the request, once all handlers have ended."""
        responses = [self._responses[index] for index in range(len(self._events))]
        return responses[0] if self._order is None else response_to_batch(self._events, responses)

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
                    self._answer(index, STOPPING)
                continue
            handling = Handling(self._seen, self._in_flight, job)
            yield handling
            for index, response in zip(wanted, handling.responses, strict=True):
                self._answer(index, response)

    def _shares(self) -> list[tuple[TopicHandler, list[int]]]:
        """Return each handler with the events that it gets in one call; answer those that no handler wants.

        Where they are in order, a handler of lists gets those that follow one another.
        """
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
                if self._order is not None and self._order.ordered:
                    lists.clear()
                if chosen.takes_list:
                    lists[chosen] = shares[-1][1]
        return shares

    def _begin(self, index: int) -> bool:
        """Mark an event as busy; return False, and answer it, if it was handled, is being handled, or has to wait."""
        if self._order is not None and self._order.stops(self._events[index]):
            self._responses[index] = WAITING
            return False
        status = self._seen.begin(self._events[index].id)
        if status is EventStatus.NEW:
            return True
        self._answer(index, DUPLICATE if status is EventStatus.DONE else BUSY)
        return False

    def _answer(self, index: int, response: InboxResponse) -> None:
        self._responses[index] = response
        if self._order is not None:
            self._order.note(self._events[index], response)
