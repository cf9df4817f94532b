"""A subscriber: handlers for topics, one ``dispatch`` for every kind of server, and a registration that is renewed."""

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self, TypeVar

from eventbus.client.batches import events_in_batch
from eventbus.client.bus import Bus
from eventbus.client.calls import NO_RETRY, Backoff
from eventbus.client.credentials import Authorization, InboxCredentials
from eventbus.client.dispatch import Headers, InboxResponse, event_from_headers, parse_delivery, text_response
from eventbus.client.draining import drain
from eventbus.client.errors import BadBody, BusError, UsageError
from eventbus.client.filters import FilterLike
from eventbus.client.handlers import Handlers, Work
from eventbus.client.handling import Handler, InFlight, run_handler
from eventbus.client.inbox_terms import terms_of_inbox
from eventbus.client.keep_alive import KeepAlive, OnState
from eventbus.client.ordering import BatchOrder
from eventbus.client.seen import Memory, Seen
from eventbus.client.signatures import Verifier
from eventbus.client.subscribers import Subscriber, Terms
from eventbus.core.batch_format import BATCH_TYPE

log = logging.getLogger(__name__)

H = TypeVar("H", bound=Handler)
#: Bytes of a body that an adapter accepts, at most: as many as any bus sends.
MAX_BODY_BYTES = 16 * 1024 * 1024
#: Seconds in which running handlers may finish when an inbox is closed.
FINISH_SECONDS = 10.0
#: For the calls at the end: the bus may be restarting, but nobody waits for it long.
ENDING_BACKOFF = Backoff(first=0.1, longest=0.5, max_elapsed=2.0)
NO_ADDRESS = "An inbox registers with a bus, under an address: Inbox(bus, 'HOST:PORT')."


class Inbox:
    """Receives what ``bus`` delivers to ``address``: host and port, and perhaps a path, by which the bus reaches it.

    In a ``group`` it is one of several that share a subscription: each event goes to one of them. When it is closed it
    leaves the group, and the others go on. With a ``filter`` it gets only the events that match, of those whose topics
    its handlers want.

    ``verifier`` checks signatures, ``seen`` drops duplicates, ``on_state`` is called when the registration changes.
    With each registration it gives the bus its ``authorization``, or what that returns, which deliveries then have, and
    its ``secret``, which signs them and by which they are checked.
    Unless ``terms`` has another ``resume``, it registers with it: what is published while the service is away is
    delivered when it is back. Without a bus it does not register, and only dispatches.
    """

    def __init__(  # noqa: PLR0913 - each is a part of it
        self,
        bus: Bus | None = None,
        address: str | None = None,
        *,
        group: str | None = None,
        filter: FilterLike | None = None,  # noqa: A002 - the option's name
        terms: Terms | None = None,
        authorization: Authorization | None = None,
        secret: str | None = None,
        verifier: Verifier | None = None,
        seen: Memory | None = None,
        on_state: OnState | None = None,
    ) -> None:
        self.address = address
        self.terms = terms_of_inbox(terms or Terms(), group, filter)
        self.credentials = InboxCredentials(authorization, secret)
        self.verifier = self.credentials.verifier(verifier)
        self._origin: str | None = None  # the name by which the bus asks for consent
        self._ordered = self.terms.ordered or False  # how the bus delivers, as far as it is known
        self._bus = bus
        self._seen = Seen() if seen is None else seen
        self._handlers = Handlers()
        self._in_flight = InFlight()
        self._keep_alive = KeepAlive(self._register, on_state)

    @property
    def group(self) -> str | None:
        """Return the group that it is a member of; None without one."""
        return self.terms.group or None

    def use_address(self, address: str) -> None:
        """Register under this address from the next registration on."""
        self.address = address

    def on(self, *patterns: str) -> Callable[[H], H]:
        """Make a function the handler of events whose topics match. The first handler that matches gets an event."""
        return self._handlers.adder(patterns, takes_list=False)

    def on_batch(self, *patterns: str) -> Callable[[H], H]:
        """Make a function the handler of lists of events whose topics match: of those that come in one request.

        It may return a list with a result for each: Retry, Reject, or anything else for an event that is handled. The
        bus sends several events at once to an inbox whose terms have a ``batch``; one event alone is a list, too.
        """
        return self._handlers.adder(patterns, takes_list=True)

    @property
    def topics(self) -> tuple[str, ...]:
        """Return the topics to register for: all that handlers want; () is every topic."""
        return self._handlers.topics

    # Deliveries

    def dispatch(self, method: str, headers: Headers, body: bytes) -> InboxResponse:
        """Handle one request, and return the response: status, headers and body. A handler's errors are responses."""
        work = self._work(method, headers, body)
        if isinstance(work, InboxResponse):
            return work
        for handling in work:
            with handling as job:
                result = job.call()
                if inspect.iscoroutine(result):
                    result.close()
                    raise UsageError(f"The handler {job.handler!r} is async: serve this inbox by its ASGI adapter.")
                handling.complete(result)
        return work.response

    async def dispatch_async(self, method: str, headers: Headers, body: bytes) -> InboxResponse:
        """Handle one request under asyncio: async handlers are awaited, the rest run in a thread."""
        work = self._work(method, headers, body)
        if isinstance(work, InboxResponse):
            return work
        for handling in work:
            with handling as job:
                if inspect.iscoroutinefunction(job.handler):
                    result = await job.call()
                else:
                    result = await asyncio.to_thread(run_handler, job)
                if inspect.isawaitable(result):  # of a callable that only makes a coroutine
                    result = await result
                handling.complete(result)
        return work.response

    def _work(self, method: str, headers: Headers, body: bytes) -> Work | InboxResponse:
        self._keep_alive.ensure()
        now = time.time()
        named = parse_delivery(method, headers, body, self.verifier, now, self._origin)
        if isinstance(named, InboxResponse):
            return named
        is_batch = named.get("content-type", "").startswith(BATCH_TYPE)
        try:
            events = events_in_batch(named, body, now) if is_batch else [event_from_headers(named, body, now)]
        except BadBody as error:
            return text_response(400, str(error))
        return Work(
            self._handlers, self._seen, self._in_flight, events, BatchOrder(self._ordered) if is_batch else None
        )

    # Registration

    def start(self) -> None:
        """Register, and renew from now on, in a thread. Do nothing if it is started. Raises UsageError."""
        self._bus_and_address()
        self._in_flight.open()
        self._keep_alive.start()

    def wait_registered(self, timeout: float) -> bool:
        """Wait until the inbox is registered, for so many seconds at most. Return whether it is.

        Raises Conflict where the bus refuses the first registration: the address is in another group, or is registered
        without a group, and has to be deregistered first.
        """
        return self._keep_alive.wait_registered(timeout)

    def refuse(self) -> None:
        """Answer new deliveries 503 from now on: the bus keeps them, and delivers them again."""
        self._in_flight.close()

    def stop(self) -> None:
        """Stop renewing, and refuse new deliveries: what is published meanwhile waits for the next start."""
        self.refuse()
        self._keep_alive.stop()

    def drain(self, seconds: float = FINISH_SECONDS) -> bool:
        """Ask the bus for nothing new, and wait until it has nothing in flight here, for so many seconds at most.

        What is in flight is handled meanwhile. From now on nothing is renewed; the bus delivers again after the next
        start. Without a group nobody is delivered to at this address meanwhile, other processes behind it included.
        Return whether nothing is in flight. Raises BusError.
        """
        bus, address = self._bus_and_address()
        self._keep_alive.stop()
        terms, calls = replace(self.terms, start=None, drain=True), bus.with_backoff(ENDING_BACKOFF)
        return drain(lambda: calls.register(address, topics=self.topics, terms=terms), seconds)

    def leave(self, seconds: float = FINISH_SECONDS) -> bool:
        """Leave the group: drain, for so many seconds at most, and deregister this address. Return whether all is done.

        Do nothing without a group, or where nothing is registered. Where the bus cannot be reached, the lease ends by
        itself.
        """
        if self.group is None or not self._keep_alive.stop():
            return True
        bus, address = self._bus_and_address()
        try:
            drained = self.drain(seconds)
            bus.with_backoff(ENDING_BACKOFF).deregister(address, path=self.terms.path)
        except BusError as error:
            log.warning("did not leave the group %s, so that its lease has to end: %s", self.group, error)
            return False
        return drained

    def close(self, seconds: float = FINISH_SECONDS) -> bool:
        """Leave the group, if there is one, stop, and wait for running handlers. Return whether all finished.

        That takes so many seconds at most.
        """
        ends = time.monotonic() + seconds
        self.leave(seconds)
        self.stop()
        return self._in_flight.wait(max(0.0, ends - time.monotonic()))

    def deregister(self) -> int:
        """Close, deregister for good, and discard pending deliveries. Return how many there were. Raises BusError.

        In a group only this address is deregistered, and nothing is discarded.
        """
        bus, address = self._bus_and_address()
        self.close()
        return bus.deregister(address, path=self.terms.path)

    def _register(self, first: bool) -> Subscriber:  # noqa: FBT001 - as Register is called
        bus, address = self._bus_and_address()
        terms = self.terms if first else replace(self.terms, start=None)  # the bus delivers what it missed
        given = self.credentials.given()
        found = bus.with_backoff(NO_RETRY).register(address, topics=self.topics, terms=terms, **given)
        self._origin, self._ordered = found.origin, found.ordered
        return found

    def _bus_and_address(self) -> tuple[Bus, str]:
        """Return what a registration needs. Raises UsageError."""
        if self._bus is None or self.address is None:
            raise UsageError(NO_ADDRESS)
        return self._bus, self.address

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
