"""A subscriber: handlers for topics, one ``dispatch`` for every kind of server, and the registration kept alive."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from eventbus.client.backoff import NO_RETRY
from eventbus.client.bus import Bus
from eventbus.client.dispatch import BUSY, DUPLICATE, HANDLED, IGNORED, Answer, Headers, answer_to, received
from eventbus.client.errors import BusError, Misused, Outcome
from eventbus.client.keeper import Keeper, Tell
from eventbus.client.model import Event, Subscriber, Terms
from eventbus.client.seen import Memory, Seen, Standing
from eventbus.client.signatures import Verifier
from eventbus.client.topics import EVERYTHING, check_pattern, matches

log = logging.getLogger(__name__)

#: What a handler returns does not matter, unless it is an Outcome; it may be a coroutine under ASGI.
Handler = Callable[[Event], Any]
H = TypeVar("H", bound=Handler)
#: Bytes of a body that an adapter takes, at most: as many as any bus would send.
MAX_BODY = 16 * 1024 * 1024


class Job(NamedTuple):
    """A delivery that is in hand."""

    event: Event
    handler: Handler


class Inbox:
    """Receives what ``bus`` delivers to ``address``, host and port and perhaps a path, by which the bus reaches it.

    ``verifier`` checks signatures, ``seen`` drops duplicates, ``on_state`` is told how the registration stands.
    Without a bus it registers nowhere, and only dispatches.
    """

    def __init__(
        self,
        bus: Bus | None = None,
        address: str | None = None,
        *,
        terms: Terms | None = None,
        verifier: Verifier | None = None,
        seen: Memory | None = None,
        on_state: Tell | None = None,
    ) -> None:
        self.address = address
        self.terms = terms or Terms()
        self.verifier = verifier or Verifier()
        self._bus = bus
        self._seen = Seen() if seen is None else seen
        self._handlers: list[tuple[tuple[str, ...], Handler]] = []
        self._keeper = Keeper(self._register, on_state)

    def on(self, *patterns: str) -> Callable[[H], H]:
        """Make a function the handler of events whose topics match; the first handler that matches gets an event."""
        chosen = tuple(map(check_pattern, patterns)) or (EVERYTHING,)

        def add(handler: H) -> H:
            self._handlers.append((chosen, handler))
            return handler

        return add

    @property
    def topics(self) -> tuple[str, ...]:
        """What to register for: all that handlers want; () is everything."""
        patterns = tuple(dict.fromkeys(pattern for chosen, _ in self._handlers for pattern in chosen))
        return () if EVERYTHING in patterns else patterns

    # Deliveries

    def dispatch(self, method: str, headers: Headers, body: bytes) -> Answer:
        """Take one request, and tell what to answer: status, headers and body. A handler's errors are answers."""
        job = self._job(method, headers, body)
        if isinstance(job, Answer):
            return job
        with _InHand(self._seen, job) as hand:
            hand.outcome = job.handler(job.event)
            if inspect.iscoroutine(hand.outcome):
                hand.outcome.close()
                raise Misused(f"The handler {job.handler!r} is async: serve this inbox by its ASGI adapter.")
        return hand.answer

    async def dispatch_async(self, method: str, headers: Headers, body: bytes) -> Answer:
        """The same for asyncio: async handlers are awaited, others run in a thread."""
        job = self._job(method, headers, body)
        if isinstance(job, Answer):
            return job
        with _InHand(self._seen, job) as hand:
            if inspect.iscoroutinefunction(job.handler):
                hand.outcome = await job.handler(job.event)
            else:
                hand.outcome = await asyncio.to_thread(_called, job)
            if inspect.isawaitable(hand.outcome):  # of a callable that only makes a coroutine
                hand.outcome = await hand.outcome
        return hand.answer

    def _job(self, method: str, headers: Headers, body: bytes) -> Job | Answer:
        self._keeper.ensure()
        event = received(method, headers, body, self.verifier, time.time())
        if isinstance(event, Answer):
            return event
        handler = self._handler_of(event.topic)
        if handler is None:
            return IGNORED
        standing = self._seen.begin(event.id)
        if standing is Standing.NEW:
            return Job(event, handler)
        return DUPLICATE if standing is Standing.DONE else BUSY

    def _handler_of(self, topic: str | None) -> Handler | None:
        for patterns, handler in self._handlers:
            if any(matches(pattern, topic) for pattern in patterns):
                return handler
        return None

    # Registration

    def start(self) -> None:
        """Register and renew from now on, in a thread; does nothing where it does so already."""
        if self._bus is None or self.address is None:
            raise Misused("An inbox registers with a bus, under an address: Inbox(bus, 'HOST:PORT').")
        self._keeper.start()

    def wait_registered(self, timeout: float) -> bool:
        """Wait until the bus knows this inbox; whether it does, after so many seconds at most."""
        return self._keeper.wait_registered(timeout)

    def stop(self) -> None:
        """Renew no more. What is published until the lease ends is delivered when the service is back in time."""
        self._keeper.stop()

    def close(self) -> None:
        """Renew no more, and deregister; what is pending is discarded. With ``resume`` the place is kept instead."""
        self._keeper.stop()
        if self._bus is not None and self.address is not None and not self.terms.resume:
            with suppress(BusError):  # the lease ends by itself
                self._bus.with_backoff(NO_RETRY).deregister(self.address)

    def _register(self, first: bool) -> Subscriber:  # noqa: FBT001 - as Register is called
        if self._bus is None or self.address is None:
            raise Misused("This inbox has no bus or no address.")
        terms = self.terms if first else replace(self.terms, start=None)  # what it missed comes by itself
        return self._bus.with_backoff(NO_RETRY).register(self.address, topics=self.topics, terms=terms)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _called(job: Job) -> Any:
    """What a handler returns, or raises: no future can hold a StopIteration."""
    try:
        return job.handler(job.event)
    except Exception as error:
        return error


class _InHand:
    """A delivery while its handler runs: what came of it, the answer to it, and whether it is remembered as done."""

    def __init__(self, seen: Memory, job: Job) -> None:
        self._seen = seen
        self._event = job.event
        self.outcome: Any = None
        self.answer = HANDLED

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        outcome = self.outcome if error is None else error
        self.answer = answer_to(outcome)
        (self._seen.done if self.answer is HANDLED else self._seen.forget)(self._event.id)
        if isinstance(outcome, Exception) and not isinstance(outcome, Outcome):
            log.error("the handler of event %s raised", self._event.id, exc_info=outcome)
        return isinstance(error, Exception)  # a killed greenlet, or a cancelled task, is no answer
