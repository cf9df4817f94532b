"""A small server for an inbox that needs no framework: a thread for each connection of the bus."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from eventbus.client.errors import UsageError
from eventbus.client.inbox import FINISH_SECONDS, Inbox
from eventbus.client.listener import Listener

#: Seconds between two checks whether the server is closed, or the process has got a signal.
POLL_INTERVAL_SECONDS = 0.1
#: Hosts to listen on that the bus cannot deliver to.
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - only compared


class Server:
    """Serves an inbox, and keeps it registered meanwhile.

    An inbox without an address gets ``host`` and the port; ``port`` 0 is a free one. Events are taken where the bus
    POSTs them: at the ``path`` of its terms, or below the path in its address.
    """

    def __init__(self, inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.inbox = inbox
        if inbox.address is None and host in _EVERYWHERE:
            raise UsageError("Say by which address the bus reaches this inbox: Inbox(bus, 'HOST:PORT').")
        self._server = Listener((host, port), inbox, _path_of(inbox))
        self.port = self._server.server_address[1]
        if inbox.address is None:
            inbox.use_address(f"{host}:{self.port}")
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_INTERVAL_SECONDS,), name="eventbus-inbox", daemon=True
        )

    def start(self) -> Self:
        """Serve and register in threads, and return at once."""
        self._thread.start()
        self.inbox.start()
        return self

    def close(self) -> None:
        """Drain: accept nothing new, answer what is in flight, renew no more. Discard nothing.

        In a group leave it first, and take what is in flight meanwhile. The bus keeps what comes after the last member
        has left, or without a group, and delivers it when the service is back.
        """
        ends = time.monotonic() + FINISH_SECONDS
        self.inbox.leave(FINISH_SECONDS)
        self._server.shutdown()
        self._server.server_close()  # from here on connections are refused, before anything is sent
        self._thread.join()
        self.inbox.refuse()
        self._server.drain(max(0.0, ends - time.monotonic()))
        self.inbox.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until the process is interrupted or terminated, and drain then. For the main thread.

    Raises Conflict where the bus refuses the first registration, since the address has another one.
    """
    with _signals() as received, Server(inbox, host=host, port=port):
        # A signal just before a wait for a lock does not end the wait, and a handler that acquires a lock may
        # interrupt the code that holds it. So the handler uses no lock, and this loop polls.
        while not received:
            inbox.wait_registered(0)
            time.sleep(POLL_INTERVAL_SECONDS)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda each, _: received.append(each)) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _path_of(inbox: Inbox) -> str:
    """Return the path, with its query, to which the bus POSTs an inbox's events."""
    if inbox.terms.path is not None:
        return inbox.terms.path
    address = inbox.address or ""
    rest = address.partition("://")[2] or address
    return f"{''.join(rest.partition('/')[1:]).rstrip('/')}/event"
