"""Deliveries whose handlers run: the response to each, how many there are, and whether more are accepted."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self

from eventbus.client.dispatch import HANDLED, response_to
from eventbus.client.errors import HandlerResult
from eventbus.client.model import Event
from eventbus.client.seen import Memory

log = logging.getLogger(__name__)

#: What a handler returns does not matter, unless it is a HandlerResult; it may be a coroutine under ASGI.
Handler = Callable[[Event], Any]


class Job(NamedTuple):
    """A delivery that is in flight."""

    event: Event
    handler: Handler


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
    """One delivery while its handler runs. Sets the response to it, and remembers the event if it is done."""

    def __init__(self, seen: Memory, in_flight: InFlight, job: Job) -> None:
        self._seen = seen
        self._in_flight = in_flight
        self._event = job.event
        self._result: Any = None
        self.response = HANDLED

    def complete(self, result: Any) -> None:
        """Take what the handler returned."""
        self._result = result

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        result = self._result if error is None else error
        self.response = response_to(result)
        try:
            (self._seen.done if self.response is HANDLED else self._seen.forget)(self._event.id)
        finally:
            self._in_flight.end()
        if isinstance(result, Exception) and not isinstance(result, HandlerResult):
            log.error("the handler of event %s raised", self._event.id, exc_info=result)
        return isinstance(error, Exception)  # a killed greenlet, or a cancelled task, gets no response


def run_handler(job: Job) -> Any:
    """Return what a handler returns or raises: a future cannot hold a StopIteration."""
    try:
        return job.handler(job.event)
    except Exception as error:
        return error
