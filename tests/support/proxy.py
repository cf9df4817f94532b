"""A TCP proxy that can be told to pass nothing: to both sides a network that was cut, with no word to either."""

import socket
from types import TracebackType
from typing import Self

import gevent
from gevent.event import Event
from gevent.server import StreamServer

from tests.support.ports import LOOPBACK, free_port


class Proxy:
    """Passes bytes both ways between a port of its own and ``target``, until it is cut; whole again, it goes on."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._passes = Event()
        self._passes.set()
        self._server = StreamServer((LOOPBACK, self.port), self._serve, backlog=256)

    def cut(self) -> None:
        """Pass nothing from now on, of new connections neither; what comes meanwhile waits here."""
        self._passes.clear()

    def repair(self) -> None:
        """Pass what waits, and all that comes."""
        self._passes.set()

    def _serve(self, near: socket.socket, _: object) -> None:
        try:
            with near, self._connected() as far:
                ways = [gevent.spawn(self._pass, near, far), gevent.spawn(self._pass, far, near)]
                gevent.joinall(ways)
        except OSError:
            return  # nobody listens there

    def _connected(self) -> socket.socket:
        self._passes.wait()
        return socket.create_connection((LOOPBACK, self._target))

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        """Pass bytes one way until either end is closed, and tell the other end."""
        try:
            while data := source.recv(65_536):
                self._passes.wait()
                sink.sendall(data)
            self._passes.wait()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return  # reset by either: the other way ends too

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._passes.set()
        self._server.stop()
