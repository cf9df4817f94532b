"""A subscriber in this process: a server for its inbox, and a queue of deliveries for the thread that prints."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from eventbus.cli.escape import escape
from eventbus.cli.exit_status import CommandFailed
from eventbus.cli.screen import Screen
from eventbus.client import NO_RETRY, Bus, BusError, Event, Inbox, Registration, Retry, Server, State

#: Hosts that mean this machine, to itself.
_LOOPBACK = ("localhost", "127.0.0.1")
#: States in which the subscriber is registered: a renewal after them is not printed.
_REGISTERED = (State.REGISTERED, State.REGISTERED_AGAIN, State.RENEWED)
QueuedDelivery = tuple[Event, "Future[None]"]


class DeliveryQueue:
    """Hands deliveries from the inbox's threads to the thread that prints. Ignores the event with the id ``seen``."""

    def __init__(self, screen: Screen, seen: str | None) -> None:
        self._screen = screen
        self._seen = seen
        self._queue: SimpleQueue[QueuedDelivery | Registration] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._state: State | None = None

    def put(self, event: Event) -> None:
        """Return when the event has been printed. Raises Retry where it will not be. It is the inbox's handler."""
        if event.id == self._seen:
            return
        printed: Future[None] = Future()
        with self._lock:
            if self._closed:
                raise Retry("this listener has ended")
            self._queue.put((event, printed))
        printed.result()

    def put_state(self, registration: Registration) -> None:
        """Hand over a change of the registration. It is the inbox's ``on_state``."""
        self._queue.put(registration)

    def print_events(self, show: Callable[[Event], None], count: int | None) -> None:
        """Print so many events, or all. Raises BusError where the bus never accepted the registration."""
        while count is None or count > 0:
            item = self._queue.get()
            if isinstance(item, Registration):
                self._print_state(item)
                continue
            event, printed = item
            try:
                show(event)
            except BaseException:
                printed.set_exception(Retry("this listener has ended"))
                raise
            printed.set_result(None)
            count = None if count is None else count - 1

    def _print_state(self, registration: Registration) -> None:
        if registration.error is not None and self._state is None:
            raise registration.error
        renewed = registration.state is State.RENEWED and self._state in _REGISTERED
        if registration.state is not self._state and not renewed:
            subscriber = registration.subscriber
            where = "" if subscriber is None else f" as {escape(subscriber.address)}; Ctrl-C ends"
            why = "" if registration.error is None else f", trying again: {escape(str(registration.error))}"
            self._screen.note(f"{registration.state.value.capitalize()}{where}{why}".rstrip(".") + ".")
        self._state = registration.state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Fail the deliveries that will not be printed."""
        with self._lock:
            self._closed = True
        while not self._queue.empty():
            item = self._queue.get()
            if not isinstance(item, Registration):
                item[1].set_exception(Retry("this listener has ended"))


@contextmanager
def serve_inbox(bus: Bus, inbox: Inbox, address: str) -> Iterator[Server]:
    """Serve an inbox at an address by which the bus reaches this machine. Deregister at the end.

    Before that the bus takes all answers, so that it discards nothing that was handled.
    Raises CommandFailed where the port is taken.
    """
    host, port = _host_and_port(address)
    own = host if inbox.address is None else "127.0.0.1" if host in _LOOPBACK else "0.0.0.0"  # noqa: S104 - as the user wants
    try:
        server = Server(inbox, host=own, port=port)
    except OSError as error:
        raise CommandFailed(f"Cannot listen on {own}:{port}: {error.strerror}; name another port.") from error
    with server:
        try:
            yield server
        finally:
            with suppress(BusError):  # then what is in flight may be discarded
                if inbox.group is None and inbox.wait_registered(0):
                    inbox.drain()
            inbox.close()
            with suppress(BusError):  # the lease ends by itself
                bus.with_backoff(NO_RETRY).deregister(inbox.address or "", path=inbox.terms.path)


def address_seen_from(url: str) -> str:
    """Return the address of this machine as the bus at ``url`` sees it, with port 0. Raises CommandFailed."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((parts.hostname or "", parts.port or 80))  # sends nothing: it only finds the way
        except OSError as error:
            raise CommandFailed(
                f"No way from here to {escape(url)} by IPv4 ({error.strerror}): say HOST:PORT."
            ) from error
        return f"{probe.getsockname()[0]}:0"


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition("://")[2].partition("/")[0].partition(":")
    return host, int(port)
