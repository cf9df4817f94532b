"""A client's connection without TLS, on the raw socket below gevent's.

Its watcher is started with the first wait and stays so from request to request: to stop and start it again takes two
system calls. It stops when something arrives that nobody waits for.
"""

from typing import Any

from gevent import getcurrent
from gevent.hub import get_hub

_READ = 1


class PlainSocket:
    """A connected socket, and the methods of a socket that the worker calls."""

    __slots__ = ("_greenlet", "_hub", "_raw", "_sock", "_watcher")

    def __init__(self, sock: Any) -> None:
        self._sock, self._raw = sock, sock._sock  # noqa: SLF001 - see above
        self._hub: Any = get_hub()
        self._greenlet: Any = None
        self._watcher: Any = self._hub.loop.io(sock.fileno(), _READ)

    def recv(self, size: int) -> bytes:
        """Wait for data and return it; empty at the end of the connection. Raises OSError."""
        try:
            data: bytes = self._raw.recv(size)
        except BlockingIOError:
            return self.recv_next(size)
        return data

    def recv_next(self, size: int) -> bytes:
        """Do the same, without a look whether there is data already: a client mostly waits for its answer first."""
        self._greenlet = getcurrent()
        if not self._watcher.active:
            self._watcher.start(self._on_readable)
        try:
            while True:
                self._hub.switch()
                try:
                    data: bytes = self._raw.recv(size)
                except BlockingIOError:
                    continue
                return data
        finally:
            self._greenlet = None

    def send(self, data: bytes | memoryview) -> int:
        """Send what fits without waiting, and return its length. Raises BlockingIOError where nothing does."""
        sent: int = self._raw.send(data)
        return sent

    def sendall(self, data: bytes | memoryview) -> None:
        """Send all data, without a limit of time."""
        self._sock.sendall(data)

    def fileno(self) -> int:
        """Return its file descriptor."""
        number: int = self._sock.fileno()
        return number

    def shutdown(self, how: int) -> None:
        """Shut the connection down."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the connection."""
        self._watcher.stop()
        self._watcher.close()
        self._sock.close()

    def _on_readable(self) -> None:
        """Wake the greenlet that waits; called by the event loop."""
        if self._greenlet is None:
            self._watcher.stop()
        else:
            self._greenlet.switch()
