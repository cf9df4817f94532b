"""Being a subscriber from a terminal: deliveries that are answered once they have been printed."""

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
#: A registration that stands: another renewal of it is no news.
_REGISTERED = (State.REGISTERED, State.REGISTERED_AGAIN, State.RENEWED)
QueuedDelivery = tuple[Event, "Future[None]"]


class DeliveryQueue:
    """Hands what the inbox's threads receive to the one that prints; ``seen`` is an event that is passed over."""

    def __init__(self, screen: Screen, seen: str | None) -> None:
        self._screen = screen
        self._seen = seen
        self._queue: SimpleQueue[QueuedDelivery | Registration] = SimpleQueue()
        self._lock = threading.Lock()
        self._over = False
        self._state: State | None = None

    def take(self, event: Event) -> None:
        """Return when the event has been printed; raises Retry where it will not be. The inbox's handler."""
        if event.id == self._seen:
            return
        printed: Future[None] = Future()
        with self._lock:
            if self._over:
                raise Retry("this listener has ended")
            self._queue.put((event, printed))
        printed.result()

    def tell(self, registration: Registration) -> None:
        """How the registration stands; what the inbox calls."""
        self._queue.put(registration)

    def show(self, show: Callable[[Event], None], count: int | None) -> None:
        """Show so many events, or all. Raises BusError where the bus never took the registration."""
        while count is None or count > 0:
            handed = self._queue.get()
            if isinstance(handed, Registration):
                self._note(handed)
                continue
            event, printed = handed
            try:
                show(event)
            except BaseException:
                printed.set_exception(Retry("this listener has ended"))
                raise
            printed.set_result(None)
            count = None if count is None else count - 1

    def _note(self, told: Registration) -> None:
        if told.error is not None and self._state is None:
            raise told.error
        renewed = told.state is State.RENEWED and self._state in _REGISTERED
        if told.state is not self._state and not renewed:
            where = "" if told.subscriber is None else f" as {escape(told.subscriber.address)}; Ctrl-C ends"
            why = "" if told.error is None else f", trying again: {escape(str(told.error))}"
            self._screen.note(f"{told.state.value.capitalize()}{where}{why}".rstrip(".") + ".")
        self._state = told.state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let nobody wait for what will not be printed."""
        with self._lock:
            self._over = True
        while not self._queue.empty():
            handed = self._queue.get()
            if not isinstance(handed, Registration):
                handed[1].set_exception(Retry("this listener has ended"))


@contextmanager
def serve_inbox(bus: Bus, inbox: Inbox, address: str) -> Iterator[Server]:
    """A server for the inbox at an address, by which the bus reaches this machine; deregistered at the end."""
    host, port = _host_and_port(address)
    own = host if inbox.address is None else "127.0.0.1" if host in _LOOPBACK else "0.0.0.0"  # noqa: S104 - it is asked for
    try:
        server = Server(inbox, host=own, port=port)
    except OSError as error:
        raise CommandFailed(f"Cannot listen on {own}:{port}: {error.strerror}; name another port.") from error
    with server:
        try:
            yield server
        finally:
            inbox.close()
            with suppress(BusError):  # the lease ends by itself
                bus.with_backoff(NO_RETRY).deregister(inbox.address or "")


def address_seen_from(url: str) -> str:
    """This machine as the bus at ``url`` sees it, on any free port."""
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
