"""One connection to a subscriber, over the socket below gevent's.

The watcher on the socket is started once and stays: while a greenlet waits, it is switched to when something
has come; while nobody does, what has come means that the connection is of no more use.
"""

import math
import socket
import time
from contextlib import suppress
from typing import Any

from gevent import getcurrent
from gevent.hub import get_hub

from eventbus.delivery.transport.early_response import RECEIVE, EarlyResponse
from eventbus.delivery.transport.response_reader import InvalidResponse, ResponseReader
from eventbus.delivery.transport.send_queue import SendQueue
from eventbus.delivery.transport.tls import TlsSocket, TooManyRecords

#: Seconds for which a request is sent on to a subscriber that has answered with success and takes no more of it.
SEND_ON_SECONDS = 1.0
#: Seconds for which the rest of an answer is awaited after its head, whose status decides by then.
BODY_SECONDS = 1.0
_READ, _WRITE = 1, 2


class Connection:
    """A connected socket, its watcher, and the reader of its answers."""

    __slots__ = (
        "_greenlet",
        "_hub",
        "_outbox",
        "_peer",
        "_raw",
        "_reader",
        "_tls",
        "_unsent",
        "_watcher",
        "closed",
        "deadline",
        "expired",
        "last_deadline",
        "open",
        "retire_at",
    )

    def __init__(
        self, peer: socket.socket, outbox: SendQueue, retire_at: float = math.inf, tls: TlsSocket | None = None
    ) -> None:
        self._peer, self._tls = peer, tls
        self._outbox = outbox
        self._unsent = b""
        self._raw: socket.socket | TlsSocket = tls or peer._sock  # type: ignore[attr-defined] # noqa: SLF001 - see above
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub: Any = get_hub()
        self._reader = ResponseReader()
        self._greenlet: Any = None
        self.open = True  # whether another request may be sent
        self.closed = self.expired = False
        self.deadline = math.inf  # monotonic; when the watchdog cuts it off; infinity while it is idle
        self.last_deadline = 0.0  # the deadline of the request before
        self.retire_at = retire_at  # monotonic; when it takes no further request
        self._watcher = self._hub.loop.io(peer.fileno(), _READ)
        self._watcher.start(self._readable)

    def ask(self, message: bytes, deadline: float) -> bytes:
        """Send a request, with the others of this turn, and return the first that comes back.

        ``deadline`` is on the monotonic clock. Raises OSError: TimeoutError where that is over, ConnectionError
        where the other side has closed, or has spoken before it was asked. The connection is closed then.
        """
        self.deadline = deadline
        self._unsent = message
        self._greenlet = getcurrent()
        try:
            self._outbox.put(self._send)
            rest = self._hub.switch()
            while self._unsent:
                if self.expired or self._spoke():
                    raise TimeoutError if self.expired else ConnectionResetError("spoke before it was asked")
                rest = self._hub.switch()
            if rest and (early := self._send_rest(rest)):
                return early
            data = self._raw.recv(RECEIVE)
        except BlockingIOError:
            data = self.receive()
        except ConnectionError as error:
            self.close()
            raise (TimeoutError() if self.expired else error) from None  # it was cut: data came after that
        except BaseException:
            self.close()
            raise
        finally:
            self._greenlet = None
        if not data:
            self.close()
            raise TimeoutError if self.expired else ConnectionResetError("closed without an answer")
        return data

    def receive(self) -> bytes:
        """What comes next; nothing where the connection ends, or has been closed. Raises as ``ask`` does."""
        while not self.closed:
            self._greenlet = getcurrent()
            try:
                self._hub.switch()
                return self._raw.recv(RECEIVE)
            except BlockingIOError:
                continue
            except BaseException as error:
                self.close()
                if not self.expired or not isinstance(error, ConnectionError):
                    raise  # else it was cut: data came after that
            finally:
                self._greenlet = None
        return b""

    def read(self, data: bytes) -> ResponseReader:
        """Read the rest of the answer that begins with ``data``. Raises InvalidResponse and OSError.

        Of a body that does not end in a moment the rest is not awaited: the connection is closed then.
        """
        reader, deadline = self._reader, self.deadline
        reader.expect()
        try:
            while not (data and reader.feed(data)):
                if not data:
                    self._end(reader)
                    break
                if reader.headed:
                    self.deadline = min(self.deadline, time.monotonic() + BODY_SECONDS)
                data = self.receive()
        except TooManyRecords:
            self.close()
            if not reader.headed:
                raise
            reader.cut_short()
        except BaseException:
            self.close()
            raise
        self.deadline = deadline
        if not reader.reusable:
            self.close()
        return reader

    def _end(self, reader: ResponseReader) -> None:
        """Nothing more comes: the time is over, either side has closed. Raises InvalidResponse and TimeoutError."""
        if reader.headed and (self.expired or self.closed):
            reader.cut_short()
        elif self.expired:
            raise TimeoutError("the answer did not come in time")
        else:
            reader.end()

    def cut(self) -> None:
        """End what waits on this connection, which the event loop tells: its time is over."""
        self.expired = True
        try:
            self._raw.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side was first, which the event loop is about to tell
            self.expired = False

    def retire(self) -> None:
        """Take no further request: close now, or when this is called again after the one under way."""
        self.open = False
        if self._greenlet is None:
            self.close()

    def close(self) -> None:
        """Let go of the socket; safe to call again."""
        self.open = False
        if not self.closed:
            self.closed = True
            self._watcher.stop()
            self._watcher.close()
            if self._tls is not None:
                self._tls.say_goodbye()
            self._peer.close()

    def _send(self) -> None:
        """Called by the outbox. The greenlet that asked is told what is left, or why nothing could be sent."""
        message, self._unsent = self._unsent, b""
        if self.closed or self.expired:
            return
        try:
            sent = self._raw.send(message)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._greenlet.throw(error)
            return
        if sent != len(message):
            self._greenlet.switch(memoryview(message)[sent:])

    def _send_rest(self, rest: memoryview) -> bytes:
        """Send the rest as it is taken, and return what was answered meanwhile, which may be nothing.

        An answer that ends the exchange early, or has come when no more can be sent, is what it comes to: the
        connection is closed then. Raises as ``ask`` does where nothing was answered.
        """
        early, deadline = EarlyResponse(), self.deadline
        writable = self._hub.loop.io(self._peer.fileno(), _WRITE)
        writable.start(self._greenlet.switch)
        try:
            while rest and not early.final:
                self._hub.switch()
                early.receive(self._raw)
                with suppress(BlockingIOError):  # it is sent later
                    rest = rest[self._raw.send(rest) :]
                if early.complete:
                    self.deadline = min(deadline, time.monotonic() + SEND_ON_SECONDS)
        except OSError as error:
            with suppress(OSError):  # what came before the connection broke can still be read
                while not early.complete and early.receive(self._raw):
                    continue
            if not early.data:
                raise (TimeoutError("the request could not be sent in time") if self.expired else error) from None
        finally:
            writable.close()
        self.deadline = deadline
        if rest:
            self.close()
        return early.data

    def _readable(self) -> None:
        """Called by the event loop."""
        if self._greenlet is not None:
            self._greenlet.switch()
        elif self._spoke():
            self.close()

    def _spoke(self) -> bool:
        """Whether what has come though nothing was asked is more than TLS tells by itself, such as new tickets."""
        if self._tls is None:
            return True
        try:
            self._tls.recv(RECEIVE)
        except BlockingIOError:
            return False
        except (OSError, InvalidResponse):
            return True
        return True
