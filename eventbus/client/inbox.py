"""A subscriber: handlers for topics, one ``dispatch`` for every kind of server, and the registration kept alive."""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from eventbus.client.bus import Bus
from eventbus.client.calls import NO_RETRY
from eventbus.client.dispatch import BUSY, DUPLICATE, IGNORED, STOPPING, Headers, InboxResponse, parse_delivery
from eventbus.client.encoding import check_patterns
from eventbus.client.errors import UsageError
from eventbus.client.handling import Handler, Handling, InFlight, Job, run_handler
from eventbus.client.keep_alive import KeepAlive, OnState
from eventbus.client.model import Subscriber, Terms
from eventbus.client.seen import EventStatus, Memory, Seen
from eventbus.client.signatures import Verifier
from eventbus.core.topics import matches

H = TypeVar("H", bound=Handler)
#: Bytes of a body that an adapter takes, at most: as many as any bus would send.
MAX_BODY_BYTES = 16 * 1024 * 1024
#: Seconds that handlers which run when an inbox is closed may take to finish.
FINISH_SECONDS = 10.0
NO_ADDRESS = "An inbox registers with a bus, under an address: Inbox(bus, 'HOST:PORT')."


class Inbox:
    """Receives what ``bus`` delivers to ``address``, host and port and perhaps a path, by which the bus reaches it.

    ``verifier`` checks signatures, ``seen`` drops duplicates, ``on_state`` is told how the registration stands.
    Where ``terms`` does not say, it registers with ``resume``: what is published while the service is away is
    delivered when it is back. Without a bus it registers nowhere, and only dispatches.
    """

    def __init__(
        self,
        bus: Bus | None = None,
        address: str | None = None,
        *,
        terms: Terms | None = None,
        verifier: Verifier | None = None,
        seen: Memory | None = None,
        on_state: OnState | None = None,
    ) -> None:
        self.address = address
        self.terms = _with_resume(terms or Terms())
        self.verifier = verifier or Verifier()
        self._origin: str | None = None  # by which name the bus asks for consent
        self._bus = bus
        self._seen = Seen() if seen is None else seen
        self._handlers: list[tuple[tuple[str, ...], Handler]] = []
        self._in_flight = InFlight()
        self._keep_alive = KeepAlive(self._register, on_state)

    def on(self, *patterns: str) -> Callable[[H], H]:
        """Make a function the handler of events whose topics match; the first handler that matches gets an event."""
        chosen = check_patterns(patterns)

        def add(handler: H) -> H:
            self._handlers.append((chosen, handler))
            return handler

        return add

    @property
    def topics(self) -> tuple[str, ...]:
        """What to register for: all that handlers want; () is everything."""
        if not all(patterns for patterns, _ in self._handlers):  # one of them wants every topic
            return ()
        return tuple(dict.fromkeys(pattern for patterns, _ in self._handlers for pattern in patterns))

    # Deliveries

    def dispatch(self, method: str, headers: Headers, body: bytes) -> InboxResponse:
        """Take one request, and tell what to answer: status, headers and body. A handler's errors are answers."""
        job = self._job(method, headers, body)
        if isinstance(job, InboxResponse):
            return job
        with Handling(self._seen, self._in_flight, job) as handling:
            handling.outcome = job.handler(job.event)
            if inspect.iscoroutine(handling.outcome):
                handling.outcome.close()
                raise UsageError(f"The handler {job.handler!r} is async: serve this inbox by its ASGI adapter.")
        return handling.answer

    async def dispatch_async(self, method: str, headers: Headers, body: bytes) -> InboxResponse:
        """The same for asyncio: async handlers are awaited, others run in a thread."""
        job = self._job(method, headers, body)
        if isinstance(job, InboxResponse):
            return job
        with Handling(self._seen, self._in_flight, job) as handling:
            if inspect.iscoroutinefunction(job.handler):
                handling.outcome = await job.handler(job.event)
            else:
                handling.outcome = await asyncio.to_thread(run_handler, job)
            if inspect.isawaitable(handling.outcome):  # of a callable that only makes a coroutine
                handling.outcome = await handling.outcome
        return handling.answer

    def _job(self, method: str, headers: Headers, body: bytes) -> Job | InboxResponse:
        self._keep_alive.ensure()
        event = parse_delivery(method, headers, body, self.verifier, time.time(), self._origin)
        if isinstance(event, InboxResponse):
            return event
        handler = self._handler_of(event.topic)
        if handler is None:
            return IGNORED
        status = self._seen.begin(event.id)
        if status is not EventStatus.NEW:
            return DUPLICATE if status is EventStatus.DONE else BUSY
        if not self._in_flight.begin():
            self._seen.forget(event.id)
            return STOPPING
        return Job(event, handler)

    def _handler_of(self, topic: str | None) -> Handler | None:
        for patterns, handler in self._handlers:
            if matches(patterns, topic):
                return handler
        return None

    # Registration

    def start(self) -> None:
        """Register and renew from now on, in a thread; does nothing where it does so already."""
        if self._bus is None or self.address is None:
            raise UsageError(NO_ADDRESS)
        self._in_flight.open()
        self._keep_alive.start()

    def wait_registered(self, timeout: float) -> bool:
        """Wait until the bus knows this inbox; whether it does, after so many seconds at most."""
        return self._keep_alive.wait_registered(timeout)

    def refuse(self) -> None:
        """Answer new deliveries 503 from now on: the bus keeps them, and makes them again."""
        self._in_flight.close()

    def stop(self) -> None:
        """Renew no more, and refuse new deliveries: what is published meanwhile waits for the next start."""
        self.refuse()
        self._keep_alive.stop()

    def close(self, seconds: float = FINISH_SECONDS) -> bool:
        """Stop, and let running handlers finish, for so many seconds at most; whether all did. Nothing is discarded."""
        self.stop()
        return self._in_flight.wait(seconds)

    def deregister(self) -> int:
        """Close, and deregister for good: what is pending is discarded, and how many that were. Raises BusError."""
        if self._bus is None or self.address is None:
            raise UsageError(NO_ADDRESS)
        self.close()
        return self._bus.deregister(self.address)

    def _register(self, first: bool) -> Subscriber:  # noqa: FBT001 - as Register is called
        if self._bus is None or self.address is None:
            raise UsageError("This inbox has no bus or no address.")
        terms = self.terms if first else replace(self.terms, start=None)  # what it missed comes by itself
        found = self._bus.with_backoff(NO_RETRY).register(self.address, topics=self.topics, terms=terms)
        self._origin = found.origin
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _with_resume(terms: Terms) -> Terms:
    """Terms that keep the place of a service that is away, where they do not say otherwise."""
    return replace(terms, resume=True) if terms.resume is None else terms
