"""A client's connection by TLS, if gunicorn has a certificate, with the same limits as a plain one."""

import math
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent.socket import wait_read, wait_write
from gunicorn.sock import ssl_context

from eventbus.delivery.transport.tls import MAX_HANDSHAKE_BYTES, TlsSocket

#: Bytes that are decrypted in one step: each record in them costs a call, even one of a single byte.
READ_BYTES = 16_384


def tls_factory(cfg: Any) -> "Callable[[Any], TlsClient]":
    """Return a function that wraps a connected socket in TLS, with the certificate of gunicorn's settings."""
    context: ssl.SSLContext = ssl_context(cfg)
    context.options |= ssl.OP_NO_RENEGOTIATION
    return lambda sock: TlsClient(sock, context)


class TlsClient:
    """A connected socket with TLS, and the methods of a socket that the worker calls."""

    def __init__(self, sock: Any, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._stream = TlsSocket(sock._sock, self._tls, self._incoming, self._outgoing, math.inf)  # noqa: SLF001 - the socket sock gevent's
        self._established = False
        self._early_data = b""  # data that came with the end of the handshake

    def do_handshake_in(self, seconds: float, give_way: Callable[[], None]) -> None:
        """Complete the TLS handshake within ``seconds``; give way before each step. Raises OSError."""
        with gevent.Timeout(seconds, TimeoutError("the TLS handshake did not end in time")):
            received = 0
            while not self._step(give_way):
                data = self._sock.recv(READ_BYTES)
                received += len(data)
                if not data:
                    raise ConnectionResetError("closed during the TLS handshake")
                if received > MAX_HANDSHAKE_BYTES:
                    raise ConnectionAbortedError(f"a TLS handshake of more than {MAX_HANDSHAKE_BYTES} bytes")
                self._incoming.write(data)
        self._established = True
        self._early_data = self._decrypted()

    def _decrypted(self) -> bytes:
        """Return the data that has already arrived."""
        data = b""
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while part := self._tls.read(READ_BYTES):
                data += part
        return data

    def _step(self, give_way: Callable[[], None]) -> bool:
        """Continue the handshake, and send its messages; return whether it is complete."""
        give_way()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._sock.sendall(self._outgoing.read())  # also the alert of a failed handshake
        return True

    def recv(self, size: int) -> bytes:
        """Wait for data and return it; empty at the end of the connection."""
        if self._early_data:
            first, self._early_data = self._early_data, b""
            return first
        while True:
            try:
                return self._stream.recv(min(size, READ_BYTES))
            except BlockingIOError:
                wait_read(self._sock.fileno())

    def recv_next(self, size: int) -> bytes:
        """Wait for the next request's data and return it; empty at the end of the connection."""
        return self.recv(size)

    def send(self, data: bytes | memoryview) -> int:
        """Send what fits without waiting, and return its length; the next call has to continue with the same bytes."""
        return self._stream.send(data)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all data, without a limit of time."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._stream.send(rest) :]
            except BlockingIOError:
                wait_write(self._sock.fileno())

    def fileno(self) -> int:
        """Return its file descriptor."""
        number: int = self._sock.fileno()
        return number

    def shutdown(self, how: int) -> None:
        """Shut down the connection sock."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Send a close alert, if that needs no waiting, and close the connection."""
        if self._established:
            self._stream.send_close_notify()
        self._sock.close()
