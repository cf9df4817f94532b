"""A client's connection by TLS, where gunicorn itself has a certificate: bounded as a plain one is."""

import math
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
from gevent.socket import wait_read, wait_write
from gunicorn.sock import ssl_context

from eventbus.delivery.transport.tls import MAX_HANDSHAKE_BYTES, TlsSocket

#: Bytes that are unsealed in one step: each record in them costs the event loop a call, be it of one byte.
SLICE = 16_384


def securing(cfg: Any) -> "Callable[[Any], TlsClient]":
    """Return what makes a connected socket one by TLS, with the certificate of gunicorn's settings."""
    context: ssl.SSLContext = ssl_context(cfg)
    context.options |= ssl.OP_NO_RENEGOTIATION
    return lambda below: TlsClient(below, context)


class TlsClient:
    """A connected socket by TLS, with the methods of a socket that the worker calls."""

    def __init__(self, below: Any, context: ssl.SSLContext) -> None:
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._sealed = TlsSocket(below._sock, self._tls, self._incoming, self._outgoing, math.inf)  # noqa: SLF001 - below gevent's
        self._agreed = False
        self._first = b""  # data that came with the end of the handshake

    def shake_hands(self, seconds: float, give_way: Callable[[], None]) -> None:
        """Agree on keys, in so many seconds; each step first leaves others their turn. Raises OSError."""
        with gevent.Timeout(seconds, TimeoutError("the TLS handshake did not end in time")):
            received = 0
            while not self._step(give_way):
                data = self._below.recv(SLICE)
                received += len(data)
                if not data:
                    raise ConnectionResetError("closed during the TLS handshake")
                if received > MAX_HANDSHAKE_BYTES:
                    raise ConnectionAbortedError(f"a TLS handshake of more than {MAX_HANDSHAKE_BYTES} bytes")
                self._incoming.write(data)
        self._agreed = True
        self._first = self._unsealed()

    def _unsealed(self) -> bytes:
        """All data that has come already."""
        data = b""
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while part := self._tls.read(SLICE):
                data += part
        return data

    def _step(self, give_way: Callable[[], None]) -> bool:
        """Go on with the handshake, and send what it says; whether it is complete."""
        give_way()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._below.sendall(self._outgoing.read())  # of one that failed, why
        return True

    def recv(self, size: int) -> bytes:
        """Wait for data, and return what has come; nothing at its end."""
        if self._first:
            first, self._first = self._first, b""
            return first
        while True:
            try:
                return self._sealed.recv(min(size, SLICE))
            except BlockingIOError:
                wait_read(self._below.fileno())

    def send(self, data: bytes | memoryview, _flags: int = 0, _timeout: float = 0.0) -> int:
        """Send what the client takes without waiting; the rest has to follow, and begin with the same bytes."""
        return self._sealed.send(data)

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all, however long the client takes."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sealed.send(rest) :]
            except BlockingIOError:
                wait_write(self._below.fileno())

    def shutdown(self, how: int) -> None:
        """End the connection below."""
        self._below.shutdown(how)

    def close(self) -> None:
        """Say that the end is meant, if that needs no waiting, and close the connection."""
        if self._agreed:
            self._sealed.send_close_notify()
        self._below.close()
