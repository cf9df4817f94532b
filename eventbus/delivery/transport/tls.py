"""TLS over a connected socket, with the methods of a non-blocking socket.

Event loop, pools, reader and limits are those of plain connections. This module only encrypts and decrypts, between
two buffers in memory and the socket.
"""

import errno
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress

from gevent.threadpool import ThreadPool

from eventbus.delivery.transport.response_reader import InvalidResponse
from eventbus.delivery.transport.tls_session import TlsSession

#: Bytes that are encrypted, and received, at once.
CHUNK_BYTES = 65_536
#: Bytes of data in a record, at most (RFC 8446, 5.1): a read returns one record.
MAX_RECORD_BYTES = 16_384
#: Bytes of a handshake, and of records without data between two data records.
MAX_HANDSHAKE_BYTES = 262_144
#: Records of one response. Each costs the event loop a call, even if it holds one byte.
MAX_RECORDS = 256
#: Handshakes that are computed at the same time.
HANDSHAKE_THREADS = 4


class TooManyRecords(InvalidResponse):
    """The response came in more than MAX_RECORDS records."""

    def __init__(self) -> None:
        super().__init__(f"not an HTTP response: more than {MAX_RECORDS} TLS records")


def handshake(
    peer: socket.socket,
    context: ssl.SSLContext,
    host: str,
    threads: ThreadPool,
    session: ssl.SSLSession | None = None,
) -> "TlsSocket":
    """Make the TLS handshake, and verify that the subscriber is ``host``, a name or an address.

    ``session`` is one with the same host that is resumed if the subscriber agrees: then it has been verified before.

    The subscriber chooses how long a step takes: the largest group of TLS 1.3 costs 0.1 seconds. So steps run on
    ``threads`` and not on the event loop. The caller enforces a time-out. Raise OSError, or its subclass ssl.SSLError.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host, session=session)
    received = 0
    error = _step(tls)  # only makes the first message
    while error is not None:
        if not isinstance(error, ssl.SSLWantReadError):
            with suppress(OSError):  # send the alert that says why, if the subscriber is still connected
                peer.sendall(outgoing.read())
            raise error
        peer.sendall(outgoing.read())
        data = peer.recv(CHUNK_BYTES)
        received += len(data)
        if not data:
            raise ConnectionResetError("closed during the TLS handshake")
        if received > MAX_HANDSHAKE_BYTES:
            raise ConnectionAbortedError(f"a TLS handshake of more than {MAX_HANDSHAKE_BYTES} bytes")
        incoming.write(data)
        error = threads.apply(_step, (tls,))
    peer.sendall(outgoing.read())
    return TlsSocket(peer._sock, tls, incoming, outgoing, offered=session is not None)  # type: ignore[attr-defined] # noqa: SLF001 - below gevent's


def _step(tls: ssl.SSLObject) -> ssl.SSLError | None:
    """Run one step of a handshake; return why it is not complete. On a thread, a raised error would be logged."""
    try:
        tls.do_handshake()
    except ssl.SSLError as error:
        return error
    return None


class TlsSocket:
    """Encrypts sent bytes and decrypts received ones. Raises a socket's errors, and ConnectionError if TLS fails.

    ``max_records`` is the most data records that are read between two sends; ``offered`` says whether a session should
    have been resumed.
    """

    __slots__ = (
        "_bytes_without_data",
        "_incoming",
        "_max_records",
        "_offered",
        "_outgoing",
        "_plaintext_bytes",
        "_records",
        "_socket",
        "_tls",
        "_unsent",
    )

    def __init__(
        self,
        raw_socket: socket.socket,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        max_records: float = MAX_RECORDS,
        *,
        offered: bool = False,
    ) -> None:
        self._socket, self._tls, self._incoming, self._outgoing = raw_socket, tls, incoming, outgoing
        self._max_records, self._offered = max_records, offered
        self._unsent = b""  # encrypted bytes to send before anything else
        self._plaintext_bytes = 0  # how much data they encrypt
        self._bytes_without_data = 0  # received since the last data
        self._records = 0  # data records received since the last send

    def send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes; return how much. The caller must send the rest, beginning with the same bytes."""
        return self.sendmsg((data,))

    def sendmsg(self, parts: Sequence[bytes | memoryview]) -> int:
        """Send what the socket takes of several parts together, as ``send`` does; return how much of all of them.

        Also what was encrypted before counts, even if it is more than the given parts.
        """
        if not self._unsent:
            self._encrypt(parts)
        sent = self._socket.send(self._unsent)
        if sent < len(self._unsent):
            self._unsent = self._unsent[sent:]
            return 0
        self._unsent = b""
        return self._plaintext_bytes

    def _encrypt(self, parts: Sequence[bytes | memoryview]) -> None:
        """Encrypt the beginning of the parts, at most ``CHUNK_BYTES`` of each. Raise ConnectionError."""
        if self._records > self._max_records:
            raise ConnectionAbortedError("unread TLS records")
        self._records = self._plaintext_bytes = 0
        try:
            for part in parts:
                fits = len(part) <= CHUNK_BYTES
                self._plaintext_bytes += self._tls.write(part if fits else memoryview(part)[:CHUNK_BYTES])
                if not fits:
                    break
        except ssl.SSLError as error:
            raise _connection_error(error) from error
        self._unsent = self._outgoing.read()

    def recv(self, size: int) -> bytes:
        """Return all data in the next ``size`` bytes from the socket, and nothing at its end.

        Raise TooManyRecords after ``max_records`` records, and BlockingIOError if there is no data.
        """
        if self._records > self._max_records:
            raise TooManyRecords
        received = self._socket.recv(size)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
        data, ended = self._decrypt()
        if data:
            self._bytes_without_data = 0
            if ended:
                with suppress(OSError):  # the subscriber has closed it
                    self._socket.shutdown(socket.SHUT_RD)  # makes the event loop report the end
        elif not ended:
            self._bytes_without_data += len(received)
            if self._bytes_without_data > MAX_HANDSHAKE_BYTES:
                raise ConnectionAbortedError("TLS that holds no data")
            raise BlockingIOError(errno.EAGAIN, "no data yet")
        return data

    def _decrypt(self) -> tuple[bytes, bool]:
        """Return all data that can be read now, and whether no more will be read."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(MAX_RECORD_BYTES):
                self._records += 1
                if not self._incoming.pending and not parts:  # nearly every response is one record: one read
                    return part, False
                parts.append(part)
                if self._records > self._max_records:
                    break  # the next call raises
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass  # the response itself says where it ends
        except ssl.SSLError as error:
            if not parts:
                raise _connection_error(error) from error
        return b"".join(parts), True

    def keep_session(self, store: TlsSession) -> None:
        """Let further connections resume this one's session; called when data has been received."""
        store.keep(self._tls, offered=self._offered)

    def shutdown(self, how: int) -> None:
        """Shut the connection down, as socket.shutdown does."""
        self._socket.shutdown(how)

    def send_close_notify(self) -> None:
        """Send TLS's close_notify (RFC 8446, 6.1) if that needs no waiting."""
        if not self._unsent:
            with suppress(OSError):  # it also expects the subscriber's close_notify, for which nobody waits
                self._tls.unwrap()
            with suppress(OSError):  # the subscriber has closed, or takes nothing more
                self._socket.send(self._outgoing.read())


def _connection_error(error: ssl.SSLError) -> ConnectionError:
    return ConnectionAbortedError(tls_error_text(error))


def tls_error_text(error: ssl.SSLError) -> str:
    """Return the reason of a TLS error in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS failed: certificate verify failed: {error.verify_message}"
    return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
