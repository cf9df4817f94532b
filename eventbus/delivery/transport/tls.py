"""TLS over a connected socket, with the methods of a socket that does not wait.

The event loop, the pools, the reader and the limits are those of plain connections: here bytes are only sealed and
unsealed, between two buffers in memory and the socket.
"""

import errno
import socket
import ssl
from contextlib import suppress

from gevent.threadpool import ThreadPool

from eventbus.delivery.transport.response_reader import InvalidResponse

#: Bytes that are sealed, and received, at once.
SLICE = 65_536
#: Bytes of a handshake, and of what comes between two pieces of data, that are read at most.
MAX_HANDSHAKE_BYTES = 262_144
#: Records in which the answer to a request may come: each costs the event loop a call, be it of one byte.
MAX_RECORDS = 256
#: Handshakes that are worked out at once.
HANDSHAKE_THREADS = 4


class TooManyRecords(InvalidResponse):
    """An answer in more than MAX_RECORDS pieces."""

    def __init__(self) -> None:
        super().__init__(f"no HTTP answer: more than {MAX_RECORDS} TLS records")


def handshake(peer: socket.socket, context: ssl.SSLContext, host: str, threads: ThreadPool) -> "TlsSocket":
    """Agree on keys with whoever is connected, and verify that it is ``host``, a name or an address.

    How long a step takes is the other side's choice: the largest group of TLS 1.3 costs a tenth of a second. So steps
    are worked out on ``threads``, beside the event loop. The caller bounds the time. Raises OSError, ssl.SSLError among
    them.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    received = 0
    error = _step(tls)  # which only makes the first message
    while error is not None:
        if not isinstance(error, ssl.SSLWantReadError):
            with suppress(OSError):  # the other side is told why, if it is still there
                peer.sendall(outgoing.read())
            raise error
        peer.sendall(outgoing.read())
        data = peer.recv(SLICE)
        received += len(data)
        if not data:
            raise ConnectionResetError("closed during the TLS handshake")
        if received > MAX_HANDSHAKE_BYTES:
            raise ConnectionAbortedError(f"a TLS handshake of more than {MAX_HANDSHAKE_BYTES} bytes")
        incoming.write(data)
        error = threads.apply(_step, (tls,))
    peer.sendall(outgoing.read())
    return TlsSocket(peer._sock, tls, incoming, outgoing)  # type: ignore[attr-defined] # noqa: SLF001 - below gevent's


def _step(tls: ssl.SSLObject) -> ssl.SSLError | None:
    """Go on with a handshake; why it is not complete. Runs on a thread, where what is raised would be logged."""
    try:
        tls.do_handshake()
    except ssl.SSLError as error:
        return error
    return None


class TlsSocket:
    """Seals what is sent and unseals what comes. Raises as a socket does, ConnectionError where TLS fails.

    ``max_records`` bounds the records of data that come between two sends.
    """

    __slots__ = (
        "_incoming",
        "_max_records",
        "_outgoing",
        "_records",
        "_sealed",
        "_sealing",
        "_silent",
        "_socket",
        "_tls",
    )

    def __init__(
        self,
        below: socket.socket,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        max_records: float = MAX_RECORDS,
    ) -> None:
        self._socket, self._tls, self._incoming, self._outgoing = below, tls, incoming, outgoing
        self._max_records = max_records
        self._sealed = b""  # to be sent before anything else
        self._sealing = 0  # bytes of data that it stands for
        self._silent = 0  # bytes that came since the last data
        self._records = 0  # of data that have come since something was sent

    def send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes; the caller sends the rest again, which has to begin with the same bytes."""
        if not self._sealed:
            if self._records > self._max_records:
                raise ConnectionAbortedError("more TLS records than were read")
            self._records = 0
            try:
                self._sealing = self._tls.write(memoryview(data)[:SLICE])
            except ssl.SSLError as error:
                raise _broken(error) from error
            self._sealed = self._outgoing.read()
        self._sealed = self._sealed[self._socket.send(self._sealed) :]
        return 0 if self._sealed else self._sealing

    def recv(self, size: int) -> bytes:
        """Return all data that is in the next ``size`` bytes from the socket; nothing at its end.

        Raises TooManyRecords where it has returned so many already.
        """
        if self._records > self._max_records:
            raise TooManyRecords
        came = self._socket.recv(size)
        if came:
            self._incoming.write(came)
        else:
            self._incoming.write_eof()
        data, ended = self._unsealed()
        if data:
            self._silent = 0
            if ended:
                with suppress(OSError):  # closed by the other side already
                    self._socket.shutdown(socket.SHUT_RD)  # so that the event loop tells of the end
        elif not ended:
            self._silent += len(came)
            if self._silent > MAX_HANDSHAKE_BYTES:
                raise ConnectionAbortedError("TLS that holds no data")
            raise BlockingIOError(errno.EAGAIN, "no data yet")
        return data

    def _unsealed(self) -> tuple[bytes, bool]:
        """All data that can be read now, and whether none can follow, or none is read any more."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(SLICE):
                parts.append(part)
                self._records += 1
                if self._records > self._max_records:
                    break  # no more is read; the next call raises
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass  # an answer says by itself where it ends
        except ssl.SSLError as error:
            if not parts:
                raise _broken(error) from error
        return b"".join(parts), True

    def shutdown(self, how: int) -> None:
        """End the connection below."""
        self._socket.shutdown(how)

    def say_goodbye(self) -> None:
        """Tell the other side, if that needs no waiting, that the end of the connection is meant (RFC 8446, 6.1)."""
        if not self._sealed:
            with suppress(OSError):  # it wants the other side's goodbye, for which nobody waits
                self._tls.unwrap()
            with suppress(OSError):  # the other side is gone, or takes nothing more
                self._socket.send(self._outgoing.read())


def _broken(error: ssl.SSLError) -> ConnectionError:
    return ConnectionAbortedError(tls_error_text(error))


def tls_error_text(error: ssl.SSLError) -> str:
    """Tell in words what is wrong with TLS to a subscriber."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: certificate verify failed: {error.verify_message}"
    return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
