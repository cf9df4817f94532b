"""A subscriber that speaks in bytes: what it does on each connection is a function, so that it may do anything."""

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, Self, cast

import gevent
from gevent.server import StreamServer

from tests.support.message_head import header, read_exactly, read_head
from tests.support.ports import LOOPBACK, free_port
from tests.support.subscriber import Received

#: Seconds after which whatever a server does on a connection is over.
MAX_CONNECTION_SECONDS = 20.0


class Peer:
    """One connection, from the subscriber's side."""

    def __init__(self, connection: socket.socket, server: "RawServer") -> None:
        self._socket = connection
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = cast(BinaryIO, connection.makefile("rb"))
        self._server = server

    @property
    def below(self) -> socket.socket:
        """The socket itself."""
        return self._socket

    def request(self) -> Received | None:
        """Read one request, and write it down; None where the bus has closed the connection."""
        head = read_head(self._reader)
        if head is None:
            return None
        method, path, _ = head[0].split(" ")
        body = read_exactly(self._reader, int(header(head[1], "Content-Length") or 0))
        received = Received(method, path, head[1], body, 0.0)
        self._server.received.append(received)
        return received

    def read_head(self) -> int | None:
        """Read a request's head, and nothing of its body; the body's bytes, or None where the bus has closed."""
        head = read_head(self._reader)
        return None if head is None else int(header(head[1], "Content-Length") or 0)

    def read(self, length: int) -> bytes:
        """Read so many bytes."""
        return read_exactly(self._reader, length)

    def send(self, data: bytes) -> None:
        """Send these bytes together."""
        self._socket.sendall(data)

    def drip(self, data: bytes, pause: float = 0.0) -> None:
        """Send these bytes one by one, so many seconds apart."""
        for number in range(len(data)):
            self._socket.sendall(data[number : number + 1])
            gevent.sleep(pause)

    def hang(self) -> None:
        """Do nothing until the bus closes the connection."""
        while self._reader.read1(65_536):  # type: ignore[attr-defined]
            continue

    def reset(self) -> None:
        """Close the connection with a reset (RST) instead of an end (FIN)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Talk = Callable[[Peer], None]


class RawServer:
    """Listens on loopback and does ``talk`` on each connection; the connection ends when that returns.

    With ``tls`` it speaks TLS, and closes without a close_notify, as many servers do.
    """

    def __init__(self, talk: Talk, host: str = LOOPBACK, port: int = 0, *, tls: ssl.SSLContext | None = None) -> None:
        self.talk = talk
        self._tls = tls
        self.host, self.port = host, port or free_port()
        self.received: list[Received] = []
        self.connections = 0  # accepted so far
        self.open = 0  # that have not ended
        self._server = StreamServer((host, self.port), self._serve, backlog=1024)

    @property
    def address(self) -> str:
        """Host and port, with the scheme where that is https, as it is registered."""
        return self.authority if self._tls is None else f"https://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def _serve(self, connection: socket.socket, _: object) -> None:
        self.connections += 1
        self.open += 1
        try:
            with gevent.Timeout(MAX_CONNECTION_SECONDS, exception=False), ExitStack() as stack:
                stack.enter_context(connection)
                if self._tls is not None:
                    connection = stack.enter_context(self._tls.wrap_socket(connection, server_side=True))
                peer = Peer(connection, self)
                self.talk(peer)
                peer._reader.close()  # noqa: SLF001 - it holds the socket open
        except (OSError, EOFError):
            return  # the bus went away
        finally:
            self.open -= 1

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._server.pool and self._server.pool.kill()


def always(answer: bytes) -> Talk:
    """Answer every request on a connection with these bytes."""

    def talk(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(answer)

    return talk


def once(answer: bytes) -> Talk:
    """Answer one request with these bytes, and close."""

    def talk(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    return talk


#: Makes a RawServer, with or without TLS.
Serve = Callable[..., RawServer]
