"""The gunicorn worker: gunicorn's gevent one, that drains the bus when it is told to end, and wastes little."""

import time
from socket import SHUT_WR
from types import TracebackType
from typing import Any, Self

import gevent
from gunicorn.workers.ggevent import GeventWorker

from eventbus.web.exchange import Exchange, environ_of, frozen, rest_of

#: Seconds between two looks whether the worker was told to end.
LOOK = 0.1
#: Seconds and bytes that a refused request's rest is read for, so that its client gets to see the answer.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """Ends idle connections when the bus is drained, and those whose request was not read to its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any = frozen(self.cfg)
        self._idle: set[gevent.Greenlet[..., None]] = set()

    def run(self) -> None:
        """Serve until told to end; return when the bus is drained too."""
        drain = gevent.spawn(self._drain)
        super().run()
        drain.join()

    def _drain(self) -> None:
        while self.alive:
            gevent.sleep(LOOK)
        self.wsgi.extensions["eventbus"].drain()
        gevent.killall(list(self._idle), StopIteration, block=False)

    def timeout_ctx(self) -> "_Idle":
        """Around the wait for a request's head: a connection that waits is idle."""
        return _Idle(self._idle, super().timeout_ctx())

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request; the connection goes on after it, or StopIteration is raised.

        What gunicorn's own does, less what this bus has no use for: hooks, access log, files, early hints.
        """
        exchange = Exchange(req, sock, self.cfg)
        if not self.alive:
            exchange.force_close()
        environ = environ_of(req, sock, addr, listener_name, self.cfg)
        try:
            _answer(self.wsgi(environ, exchange.start_response), exchange)
        except Exception:
            if not exchange.headers_sent:
                raise
            self.log.exception("an answer broke off")
            raise StopIteration from None
        if rest_of(req.body):
            _linger(sock)
        if exchange.should_close():
            raise StopIteration


def _answer(parts: Any, exchange: Exchange) -> None:
    """Send all that the app has to say."""
    try:
        for part in parts:
            exchange.write(part)
        exchange.close()
    finally:
        if hasattr(parts, "close"):
            parts.close()


class _Idle:
    """Notes who waits, and bounds the wait."""

    __slots__ = ("_idle", "_timeout")

    def __init__(self, idle: set[Any], timeout: gevent.Timeout) -> None:
        self._idle = idle
        self._timeout = timeout

    def __enter__(self) -> Self:
        self._idle.add(gevent.getcurrent())
        self._timeout.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._idle.discard(gevent.getcurrent())
        self._timeout.close()
        return error is self._timeout


def _linger(sock: Any) -> None:
    """Say that no more is sent, and read some of what still comes, so that no reset overtakes the answer."""
    left = LINGER_BYTES
    deadline = time.monotonic() + LINGER_SECONDS
    try:
        sock.shutdown(SHUT_WR)
        while left > 0 and (seconds := deadline - time.monotonic()) > 0:
            sock.settimeout(seconds)
            data = sock.recv(65_536)
            if not data:
                return
            left -= len(data)
    except OSError:
        return
