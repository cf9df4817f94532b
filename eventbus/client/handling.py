"""Deliveries whose handlers run: the response to each, how many there are, and whether more are accepted."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from eventbus.client.dispatch import HANDLED, InboxResponse, response_to
from eventbus.client.errors import HandlerResult, UsageError
from eventbus.client.model import Event
from eventbus.client.seen import Memory

log = logging.getLogger(__name__)

#: What a handler returns does not matter, unless it is a HandlerResult, or of a handler of lists a list of results; it
#: may be a coroutine under ASGI.
Handler = Callable[[Any], Any]


class Job(NamedTuple):
    """Events that are in flight, and their handler: one event, or a list where it takes lists."""

    events: list[Event]
    handler: Handler
    takes_list: bool

    def call(self) -> Any:
        """Call the handler, and return what it returns."""
        return self.handler(self.events if self.takes_list else self.events[0])


class InFlight:
    """Counts the deliveries whose handlers run. It can be closed to new ones, and awaited."""

    def __init__(self) -> None:
        self._count = 0
        self._closed = False
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Count one more. Return False if closed."""
        with self._changed:
            self._count += not self._closed
            return not self._closed

    def end(self) -> None:
        """Count one less."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def open(self) -> None:
        """Accept deliveries."""
        with self._changed:
            self._closed = False

    def close(self) -> None:
        """Accept no more deliveries."""
        with self._changed:
            self._closed = True

    def wait(self, seconds: float) -> bool:
        """Wait until there are none, for so many seconds at most. Return whether there are none."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)


class Handling:
    """A handler while it runs. Sets the response to each of its events, and remembers those that are done."""

    def __init__(self, seen: Memory, in_flight: InFlight, job: Job) -> None:
        self._seen = seen
        self._in_flight = in_flight
        self.job = job
        self._result: Any = None
        self.responses: list[InboxResponse] = []  #: one for each event, once the handler has ended

    def complete(self, result: Any) -> None:
        """Take what the handler returned."""
        self._result = result

    def __enter__(self) -> Job:
        return self.job

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        results = self._results() if error is None else [error] * len(self.job.events)
        self.responses = list(map(response_to, results))
        try:
            for event, response in zip(self.job.events, self.responses, strict=True):
                (self._seen.done if response is HANDLED else self._seen.forget)(event.id)
        finally:
            self._in_flight.end()
        for event, result in zip(self.job.events, results, strict=True):
            if isinstance(result, Exception) and not isinstance(result, HandlerResult):
                log.error("the handler of event %s raised", event.id, exc_info=result)
                break  # one of a list is enough
        return isinstance(error, Exception)  # a killed greenlet, or a cancelled task, gets no response

    def _results(self) -> list[Any]:
        """Return the result of each event."""
        count, result = len(self.job.events), self._result
        if not self.job.takes_list or not isinstance(result, list):
            return [result] * count
        if len(result) != count:
            return [UsageError(f"The handler returned {len(result)} results for {count} events.")] * count
        return result


def run_handler(job: Job) -> Any:
    """Return what a handler returns or raises: a future cannot hold a StopIteration."""
    try:
        return job.call()
    except Exception as error:
        return error
