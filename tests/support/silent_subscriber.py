"""Subscribers that never answer: one reads what it is sent, one reads nothing, one does not even accept."""

import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from gevent.server import StreamServer

from tests.support.ports import LOOPBACK, free_port


class SilentSubscriber:
    """Accepts every connection, reads what it is sent, and never answers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections = 0  # accepted so far
        self._server = StreamServer((LOOPBACK, self.port), self._swallow, backlog=1024)

    @property
    def address(self) -> str:
        """Host and port, as it is registered."""
        return f"{LOOPBACK}:{self.port}"

    def _swallow(self, connection: socket.socket, _: object) -> None:
        self.connections += 1
        try:
            with connection:
                while connection.recv(65_536):
                    continue
        except OSError:
            return  # reset by the bus: as good an end as a close

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()


class SilentListener:
    """Listens on a loopback address and accepts nothing: the kernel takes the connections and what is sent."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._stack = ExitStack()
        self.address = ""

    def __enter__(self) -> Self:
        listener = self._stack.enter_context(socket.socket())
        listener.bind((self._host, 0))
        listener.listen(4_096)
        self.address = f"{self._host}:{listener.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class SilentPort:
    """A port that accepts no connection, as if its host were off: its queue is full."""

    def __init__(self, host: str, port: int) -> None:
        self._stack = ExitStack()
        self._address = host, port

    def __enter__(self) -> Self:
        listener = self._stack.enter_context(socket.socket())
        listener.bind(self._address)
        listener.listen(0)
        for _ in range(4):
            waiting = self._stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
