"""One connection to a subscriber, over the socket below gevent's.

The watcher on the socket is started once and stays: while a greenlet waits, it is switched to when something
has come; while nobody does, what has come means that the connection is of no more use.
"""

import socket
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import get_hub

from eventbus.delivery.transport.answers import AnswerReader

#: Bytes that are received at once, at most.
RECEIVE = 65_536
#: A message shorter than this is put together and sent at once; of a longer one, head and body are sent as they are.
JOINED = 16_384
_READ, _WRITE = 1, 2


class Connection:
    """A connected socket, its watcher, and the reader of its answers."""

    __slots__ = (
        "_greenlet",
        "_hub",
        "_peer",
        "_raw",
        "_reader",
        "_watcher",
        "deadline",
        "expired",
        "idle_since",
        "open",
    )

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._raw: socket.socket = peer._sock  # type: ignore[attr-defined] # noqa: SLF001 - the socket below gevent's
        self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub: Any = get_hub()
        self._reader = AnswerReader()
        self._greenlet: Any = None
        self.open = True
        self.expired = False
        self.deadline = 0.0  # monotonic; when the watchdog cuts it off
        self.idle_since = 0.0
        self._watcher = self._hub.loop.io(peer.fileno(), _READ)
        self._watcher.start(self._readable)

    def exchange(self, head: bytes, body: bytes) -> AnswerReader:
        """Send a request and read its answer. Raises NotAnAnswer and OSError; the connection is closed then."""
        reader = self._reader
        reader.expect()
        try:
            self._send(head, body)
            while True:
                data = self._receive()
                if not data:
                    if self.expired:
                        raise TimeoutError("the answer did not come in time")
                    reader.end()
                    break
                if reader.feed(data):
                    break
        except BaseException:
            self.close()
            raise
        if not reader.reusable:
            self.close()
        return reader

    def cut(self) -> None:
        """End what waits on this connection: its time is over."""
        self.expired = True
        try:
            self._raw.shutdown(socket.SHUT_RDWR)
        except OSError:
            self._readable()

    def close(self) -> None:
        """Let go of the socket; safe to call again."""
        if self.open:
            self.open = False
            self._watcher.stop()
            self._watcher.close()
            self._peer.close()

    def _send(self, head: bytes, body: bytes) -> None:
        if len(body) < JOINED:
            data = head + body
            sent = self._send_some(self._raw.send, data)
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
        else:
            sent = self._send_some(self._raw.sendmsg, (head, body))
            rest = memoryview(head + body)[sent:]
        while rest:
            self._wait_writable()
            rest = rest[self._send_some(self._raw.send, rest) :]

    def _send_some(self, send: Callable[[Any], int], data: Any) -> int:
        try:
            return send(data)
        except BlockingIOError:
            return 0

    def _receive(self) -> bytes:
        """What has come, at least one byte; nothing at the end of the connection."""
        while True:
            self._greenlet = gevent.getcurrent()
            try:
                self._hub.switch()
            finally:
                self._greenlet = None
            try:
                return self._raw.recv(RECEIVE)
            except BlockingIOError:
                continue

    def _wait_writable(self) -> None:
        """Wait until more can be sent; an answer that comes meanwhile waits too."""
        self._watcher.stop()
        watcher = self._hub.loop.io(self._raw.fileno(), _WRITE)
        try:
            self._hub.wait(watcher)
        finally:
            watcher.close()
            if self.open:
                self._watcher.start(self._readable)
        if self.expired:
            raise TimeoutError("the request could not be sent in time")

    def _readable(self) -> None:
        """Called by the event loop."""
        if self._greenlet is not None:
            self._greenlet.switch()
        elif self.deadline == 0.0:
            self.close()
