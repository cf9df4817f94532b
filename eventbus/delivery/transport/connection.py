"""One connection to a subscriber, on the raw socket below gevent's.

The watcher on the socket is started once and never stopped. It switches to the greenlet that waits for a response. If
none waits, received data means that the connection is unusable.
"""

import math
import socket
import time
from contextlib import suppress
from typing import Any

from gevent import getcurrent
from gevent.hub import get_hub

from eventbus.delivery.transport.early_response import RECEIVE_BYTES, EarlyResponse
from eventbus.delivery.transport.limits import MAX_RESPONSE_BYTES
from eventbus.delivery.transport.request import Request, drop_sent, unsent
from eventbus.delivery.transport.response_reader import InvalidResponse, ResponseReader
from eventbus.delivery.transport.send_queue import SendQueue
from eventbus.delivery.transport.tls import TlsSocket, TooManyRecords

#: Seconds for which the rest of a request is sent after a 2xx response, while the subscriber takes nothing more.
SEND_AFTER_RESPONSE_SECONDS = 1.0
#: Seconds that a response's body may take after its head; then the status alone decides.
BODY_SECONDS = 1.0
_READ, _WRITE = 1, 2


class Connection:
    """A connected socket, its watcher, and the reader of its responses."""

    __slots__ = (
        "_greenlet",
        "_hub",
        "_peer",
        "_pending_request",
        "_raw",
        "_reader",
        "_send_queue",
        "_watcher",
        "closed",
        "deadline",
        "open",
        "previous_deadline",
        "retire_at",
        "timed_out",
        "tls",
    )

    def __init__(
        self, peer: socket.socket, send_queue: SendQueue, retire_at: float = math.inf, tls: TlsSocket | None = None
    ) -> None:
        self._peer, self.tls = peer, tls
        self._send_queue = send_queue
        self._pending_request: Request = b""
        self._raw: socket.socket | TlsSocket = tls or peer._sock  # type: ignore[attr-defined] # noqa: SLF001 - see above
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub: Any = get_hub()
        self._reader = ResponseReader()
        self._greenlet: Any = None
        self.open = True  # whether it may send another request
        self.closed = self.timed_out = False
        self.deadline = math.inf  # monotonic; when the watchdog aborts it; infinity while it is idle
        self.previous_deadline = 0.0  # the deadline of the previous request
        self.retire_at = retire_at  # monotonic; when the watchdog retires it
        self._watcher = self._hub.loop.io(peer.fileno(), _READ)
        self._watcher.start(self._on_readable)

    def request(self, message: Request, deadline: float) -> bytes:
        """Send a request together with the others of this iteration; return the first bytes of its response.

        ``deadline`` is on the monotonic clock. Raise TimeoutError after it, and ConnectionError if the subscriber has
        closed the connection or sent data before the request. After an error the connection is closed.
        """
        self.deadline = deadline
        self._pending_request = message
        self._greenlet = getcurrent()
        try:
            self._send_queue.put(self._send)
            rest = self._hub.switch()
            while self._pending_request:
                if self.timed_out or self._received_unasked():
                    raise TimeoutError if self.timed_out else ConnectionResetError("data came before the request")
                rest = self._hub.switch()
            if rest and (early := self._send_rest(rest)):
                return early
            data = self._raw.recv(RECEIVE_BYTES)
        except BlockingIOError:
            data = self.receive()
        except ConnectionError as error:
            self.close()
            raise (TimeoutError() if self.timed_out else error) from None  # it was aborted: data came after that
        except BaseException:
            self.close()
            raise
        finally:
            self._greenlet = None
        if not data:
            self.close()
            raise TimeoutError if self.timed_out else ConnectionResetError("closed without a response")
        return data

    def receive(self) -> bytes:
        """Return the next bytes, or none if the connection is closed. Raise the same errors as ``request``."""
        while not self.closed:
            self._greenlet = getcurrent()
            try:
                self._hub.switch()
                return self._raw.recv(RECEIVE_BYTES)
            except BlockingIOError:
                continue
            except BaseException as error:
                self.close()
                if not self.timed_out or not isinstance(error, ConnectionError):
                    raise  # else it was aborted: data came after that
            finally:
                self._greenlet = None
        return b""

    def read(self, data: bytes, max_bytes: int = MAX_RESPONSE_BYTES) -> ResponseReader:
        """Read ``max_bytes`` at most of the response that begins with ``data``. Raise InvalidResponse and OSError.

        Close the connection if the body takes longer than ``BODY_SECONDS``.
        """
        reader, deadline = self._reader, self.deadline
        reader.start_response(max_bytes)
        try:
            while not (data and reader.feed(data)):
                if not data:
                    self._end_response(reader)
                    break
                if reader.head_complete:
                    self.deadline = min(self.deadline, time.monotonic() + BODY_SECONDS)
                data = self.receive()
        except TooManyRecords:
            self.close()
            if not reader.head_complete:
                raise
            reader.skip_body()
        except BaseException:
            self.close()
            raise
        self.deadline = deadline
        if not reader.reusable:
            self.close()
        return reader

    def _end_response(self, reader: ResponseReader) -> None:
        """End a response of which no more bytes come. Raise InvalidResponse or TimeoutError if it is incomplete."""
        if reader.head_complete and (self.timed_out or self.closed):
            reader.skip_body()
        elif self.timed_out:
            raise TimeoutError("the response did not come in time")
        else:
            reader.end()

    def abort(self) -> None:
        """Time out: shut the socket down, so that the event loop wakes the waiting greenlet."""
        self.timed_out = True
        try:
            self._raw.shutdown(socket.SHUT_RDWR)
        except OSError:  # the subscriber has closed it; the event loop is about to report that
            self.timed_out = False

    def retire(self) -> None:
        """Take no further request: close now, or at the next call after the current request."""
        self.open = False
        if self._greenlet is None:
            self.close()

    def close(self) -> None:
        """Close the socket; safe to call again."""
        self.open = False
        if not self.closed:
            self.closed = True
            self._watcher.stop()
            self._watcher.close()
            if self.tls is not None:
                self.tls.send_close_notify()
            self._peer.close()

    def _send(self) -> None:
        """Send the request, called by the send queue. Pass unsent bytes, or the error, to the waiting greenlet."""
        message, self._pending_request = self._pending_request, b""
        if self.closed or self.timed_out:
            return
        try:
            sent = self._raw.send(message) if isinstance(message, bytes) else self._raw.sendmsg(message.parts)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._greenlet.throw(error)
            return
        if sent != len(message):
            self._greenlet.switch(unsent(message, sent))

    def _send_rest(self, rest: list[memoryview]) -> bytes:
        """Send the unsent parts as fast as the subscriber takes it; return the bytes received meanwhile.

        Close the connection if a response ends the request early, or comes when no more can be sent. Raise the same
        errors as ``request`` if nothing was received.
        """
        early, deadline = EarlyResponse(), self.deadline
        writable = self._hub.loop.io(self._peer.fileno(), _WRITE)
        writable.start(self._greenlet.switch)
        try:
            while rest and not early.final:
                self._hub.switch()
                early.receive(self._raw)
                with suppress(BlockingIOError):  # sent later
                    drop_sent(rest, self._raw.send(rest[0]))
                if early.complete:
                    self.deadline = min(deadline, time.monotonic() + SEND_AFTER_RESPONSE_SECONDS)
        except OSError as error:
            with suppress(OSError):  # what came before the connection broke can still be read
                while not early.complete and early.receive(self._raw):
                    continue
            if not early.data:
                raise (TimeoutError("the request could not be sent in time") if self.timed_out else error) from None
        finally:
            writable.close()
        self.deadline = deadline
        if rest:
            self.close()
        return early.data

    def _on_readable(self) -> None:
        """Wake the waiting greenlet, or close a connection that has none; called by the event loop."""
        if self._greenlet is not None:
            self._greenlet.switch()
        elif self._received_unasked():
            self.close()

    def _received_unasked(self) -> bool:
        """Whether data came without a request. TLS's own records, such as session tickets, do not count."""
        if self.tls is None:
            return True
        try:
            self.tls.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except (OSError, InvalidResponse):
            return True
        return True
