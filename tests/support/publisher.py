"""Load: many events over a few connections that are kept alive, bounded in count and in time."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

import gevent
from gevent.event import Event

from tests.support.deadline import eventually
from tests.support.raw_client import RawConnection, Response


@dataclass(slots=True)
class Published:
    """What became of the events. ``latencies`` are the seconds that each accepted one took."""

    accepted: list[str] = field(default_factory=list)  # ids
    refused: int = 0  # answered, but not with 2xx
    failed: int = 0  # the connection broke before the answer was there: not known to be accepted
    latencies: list[float] = field(default_factory=list)


class Publisher:
    """Publishes each body once. A connection that breaks is made again, for as long as there is time.

    ``timeout`` bounds the whole run, in seconds; bodies that are left then are not sent.
    """

    def __init__(
        self,
        port: int,
        bodies: Iterable[bytes],
        *,
        connections: int = 32,
        timeout: float = 120.0,
        target: str = "/sendMessage",
    ) -> None:
        self.result = Published()
        self._port = port
        self._bodies: Iterator[bytes] = iter(bodies)
        self._connections = connections
        self._timeout = timeout
        self._target = target
        self._ends = 0.0
        self._stopped = Event()
        self._greenlets: list[gevent.Greenlet] = []

    def start(self) -> Self:
        """Begin, and return at once."""
        self._ends = time.monotonic() + self._timeout
        self._greenlets = [gevent.spawn(self._run) for _ in range(self._connections)]
        return self

    def wait_accepted(self, count: int) -> None:
        """Wait until so many events were accepted."""
        eventually(lambda: len(self.result.accepted) >= count, self._timeout, f"{count} were not accepted")

    def stop(self) -> None:
        """Send no more than is on its way."""
        self._stopped.set()

    def join(self) -> Published:
        """Wait for the end, and tell what became of the events."""
        gevent.joinall(self._greenlets, raise_error=True)
        return self.result

    def _run(self) -> None:
        connection: RawConnection | None = None
        while not self._over():
            connection = connection or self._connect()
            body = None if connection is None else next(self._bodies, None)
            if connection is None or body is None:
                break
            if not self._publish(connection, body):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _publish(self, connection: RawConnection, body: bytes) -> bool:
        """Send one event; whether the connection can be used again."""
        began = time.monotonic()
        try:
            response = connection.request("POST", self._target, body=body)
        except (OSError, EOFError):
            self.result.failed += 1
            return False
        self._note(response, time.monotonic() - began)
        return (response.header("Connection") or "").lower() != "close"

    def _note(self, response: Response, seconds: float) -> None:
        if 200 <= response.status < 300:
            self.result.accepted.append(response.header("Webhook-Id") or "")
            self.result.latencies.append(seconds)
        else:
            self.result.refused += 1

    def _connect(self) -> RawConnection | None:
        """A new connection, as soon as the server listens; None where the time or the wish ended first."""
        found = eventually(lambda: self._over() or self._try_to_connect(), self._timeout)
        return found if isinstance(found, RawConnection) else None

    def _try_to_connect(self) -> RawConnection | None:
        try:
            return RawConnection(self._port)
        except OSError:
            return None

    def _over(self) -> bool:
        return self._stopped.is_set() or time.monotonic() >= self._ends


def publish_all(
    port: int,
    bodies: Iterable[bytes],
    *,
    connections: int = 32,
    timeout: float = 120.0,
    target: str = "/sendMessage",
) -> Published:
    """Publish all of them, and tell what became of them."""
    return Publisher(port, bodies, connections=connections, timeout=timeout, target=target).start().join()
