"""A raw HTTP/1.1 client: sends the bytes it is given and reads exactly one response at a time."""

import json
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from tests.support.message_head import Headers, header, read_exactly, read_head
from tests.support.ports import LOOPBACK

#: Statuses that never have a body (RFC 9112, section 6.3).
BODILESS = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Response:
    """One response, its header fields in the order and the case in which they came."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The first field of this name, in any case."""
        return header(self.headers, name)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class RawConnection:
    """One connection to a port or a Unix socket, kept alive for as long as the server keeps it.

    ``timeout`` is in seconds; with a ``context`` the port is spoken to by TLS.
    """

    def __init__(self, target: int | Path, timeout: float = 30.0, context: ssl.SSLContext | None = None) -> None:
        if isinstance(target, int):
            self._socket = socket.create_connection((LOOPBACK, target), timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self._socket = _connected_to(target, timeout)
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname=LOOPBACK)
        self._reader = cast(BinaryIO, self._socket.makefile("rb"))

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Say that nothing more is sent; what is answered can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def read(self, *, to_head: bool = False) -> Response:
        """Read one final response; ``to_head`` says that it answers a HEAD, so that no body follows."""
        while True:
            head = read_head(self._reader)
            if head is None:
                raise EOFError("The server closed the connection without an answer")
            status = int(head[0].split(" ", 2)[1])
            if status >= 200:
                bodiless = to_head or status in BODILESS
                return Response(status, head[1], b"" if bodiless else self._body(head[1]))

    def read_interim(self) -> int:
        """Read one interim response (RFC 9110, section 15.2); its status."""
        head = read_head(self._reader)
        if head is None:
            raise EOFError("The server closed the connection without an answer")
        return int(head[0].split(" ", 2)[1])

    def request(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Response:
        """Send one request and read its answer; ``Content-Length`` is sent where there is a body."""
        self.send(render_request(method, target, headers, body))
        return self.read(to_head=method == "HEAD")

    def at_end(self) -> bool:
        """Whether the server closes now and has sent nothing more."""
        return self._reader.read(1) == b""

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
        self._socket.close()

    def _body(self, headers: Headers) -> bytes:
        if (header(headers, "Transfer-Encoding") or "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        if (length := header(headers, "Content-Length")) is not None:
            return read_exactly(self._reader, int(length))
        return self._reader.read()

    def _chunk(self) -> bytes:
        size = int(self._reader.readline().split(b";")[0], 16)
        data = read_exactly(self._reader, size)
        read_exactly(self._reader, 2)
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connected_to(path: Path, timeout: float) -> socket.socket:
    """A connection to a Unix socket."""
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.settimeout(timeout)
        peer.connect(str(path))
    except OSError:
        peer.close()
        raise
    return peer


def render_request(
    method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
) -> bytes:
    """A request's bytes; a target or value may hold any character up to U+00FF, sent as that byte."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {LOOPBACK}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def render_chunks(chunks: Iterable[bytes]) -> bytes:
    """A body's bytes in the chunked coding, with its end (RFC 9112, section 7.1)."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
