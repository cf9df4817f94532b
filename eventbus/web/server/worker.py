"""The gunicorn worker: gunicorn's gevent one, that drains the bus when it is told to end, and wastes little."""

import errno
import resource
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from socket import SHUT_WR
from typing import Any

import gevent
from gevent.hub import get_hub
from gevent.server import StreamServer
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.byte_budget import budget_of
from eventbus.web.server.connections import RESERVE, ClientConnection, Connections
from eventbus.web.server.listeners import end_of, note
from eventbus.web.server.request_reader import RequestReader, Waiting, is_host, refusal, written
from eventbus.web.server.response_writer import (
    CONNECTION,
    PeerGone,
    ResponseWriter,
    TooMuchHeld,
    environ_of,
    frozen,
    rest_of,
)

#: Seconds between two looks whether the worker was told to end.
LOOK = 0.1
#: Seconds until a shortage is told again.
TELL_AGAIN = 60.0
#: Seconds and bytes that a refused request's rest is read for, so that its client gets to see the answer.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024
#: Seconds that requests under way get when the bus has drained.
REST_SECONDS = 3.0
#: Seconds in which a handshake by TLS has to end, at most.
HANDSHAKE_SECONDS = 10.0
#: Seconds in which a new connection's first byte has to come.
FIRST_SECONDS = 10.0
#: What is answered even when there are more connections than there may be.
HEALTH = frozenset({"/healthz", "/readyz", "/metrics"})
#: What a Unix socket is called where WSGI wants a host and a port (PEP 3333: they are never empty).
UNNAMED = ("localhost", 80)


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """Ends idle connections when the bus is drained, and those whose request was not read to its end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any = frozen(self.cfg)
        self.worker_connections += RESERVE
        self._seconds = 0.0  # for a request's head, its body, and each MiB of its answer
        self._told_of_files = -TELL_AGAIN
        self._secure: Callable[[Any], Any] | None = None  # makes a connection one by TLS

    def load_wsgi(self) -> None:
        """Load the app, which asks where it listens."""
        note(self.sockets)
        super().load_wsgi()
        if self.cfg.is_ssl:
            from eventbus.web.server.tls_client import securing  # noqa: PLC0415 - brings sockets with it: only after patching

            self._secure = securing(self.cfg)
        limit = min(self.cfg.worker_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        bus = self.wsgi.bus
        self._seconds = bus.settings.request_seconds
        budget = budget_of(bus.settings.max_bodies_bytes, bus.settings.max_body_bytes)
        per_address = bus.settings.max_connections_per_address
        self._connections = Connections(limit, bus.counters, time.monotonic, budget, per_address)

    def run(self) -> None:
        """Serve until told to end; return when the bus is drained too."""
        hub: Any = get_hub()
        hub.print_exception = self._tell
        drain = gevent.spawn(self._drain)
        super().run()
        drain.join()

    def _tell(self, context: Any, kind: Any, error: Any, trace: Any) -> None:
        """Log what nobody caught, as a line; a shortage of files, which comes again and again, once a minute."""
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            now = time.monotonic()
            if now - self._told_of_files > TELL_AGAIN:
                self._told_of_files = now
                self.log.error(
                    "no files are left: clients wait; raise the limit on open files (LimitNOFILE, ulimit -n)"
                )
            return
        self.log.error("something failed in a way that was not foreseen: %s", context, exc_info=(kind, error, trace))

    def server_class(self, listener: Any, *, spawn: Any, **_: Any) -> StreamServer:
        """What accepts connections. gevent's own would shake hands by TLS before a connection is counted."""
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=spawn)
        if self.cfg.workers > 1:
            server.max_accept = 1  # so that the other workers get some
        return server

    def _drain(self) -> None:
        while self.alive:
            gevent.sleep(LOOK)
        self.wsgi.bus.drain()
        self._connections.end_idle()
        self._connections.end_rest(REST_SECONDS)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection: what gunicorn's own does, but that a head has to come in time, and less HTTP/2."""
        client.setblocking(1)
        bus = self.wsgi.bus
        seconds = self._seconds
        connection = self._connections.open(client, end_of(addr)[0])
        try:
            if self._secure is not None:
                client = self._shake_hands(connection, self._secure)
            self._serve(listener, connection, addr, seconds)
        except (StopIteration, OSError) as end:
            if isinstance(end, TooMuchHeld):
                bus.counters.refused["connections"] += 1
            self.log.debug("a connection ended: %r", end)
        except Exception as error:
            bus.counters.refused["connections" if isinstance(error, TooManyStreams) else "no_http"] += 1
            self._refuse(client, *refusal(error, seconds))
        finally:
            self._connections.close(connection)
            client.close()

    def _shake_hands(self, connection: ClientConnection, secure: Callable[[Any], Any]) -> Any:
        """Make a connection one by TLS; it is idle until both have agreed. Raises OSError, in bounded time, too."""
        connection.client = client = secure(connection.client)
        connection.is_idle()
        try:
            client.shake_hands(min(HANDSHAKE_SECONDS, self._seconds), self.wsgi.bus.give_way)
        finally:
            connection.is_busy()
        return client

    def _serve(self, listener: Any, connection: ClientConnection, addr: Any, seconds: float) -> None:
        """Serve requests, one after another. Raises StopIteration or OSError where the connection ends."""
        client = connection.client
        parser = RequestParser(self.cfg, client, addr)
        parser.unreader = reader = RequestReader(client, self.wsgi.bus.dispatcher.load)
        name, peer = end_of(listener.getsockname(), UNNAMED), end_of(addr)
        request, wait = None, FIRST_SECONDS
        while True:
            with Waiting(reader, connection, wait, seconds):
                reader.fill()
                request = next(parser)
            if request is None:
                return
            if connection.beyond and request.path not in HEALTH:
                self.wsgi.bus.counters.refused["connections"] += 1
                self._refuse(client, 503, "There are as many connections as there may be; try again later.")
                return
            self.handle_request(name, request, connection, peer)
            if connection.beyond or not _finished(parser, request, seconds):
                return
            request, wait = None, self.cfg.keepalive

    def _refuse(self, client: Any, status: int, sentence: str) -> None:
        """Answer what could not be read, and end the connection."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("a request failed in a way that was not foreseen")
        try:
            with gevent.Timeout(LINGER_SECONDS, TimeoutError("the client does not read")):
                client.sendall(written(status, sentence))
        except OSError as end:
            self.log.debug("a connection ended: %r", end)
        else:
            _linger(client)

    def handle_request(self, listener_name: Any, req: Any, connection: ClientConnection, addr: Any) -> None:
        """Serve one request; the connection goes on after it, or StopIteration is raised.

        What gunicorn's own does, less what this bus has no use for: hooks, access log, files, early hints.
        """
        sock = connection.client
        exchange = ResponseWriter(req, sock, self.cfg, connection, self._seconds)
        if connection.beyond or not self.alive:
            exchange.force_close()
        environ = environ_of(req, sock, addr, listener_name, self.cfg)
        environ[CONNECTION] = connection
        host = environ.get("HTTP_HOST")
        if not is_host(host) if host is not None else req.version == (1, 1):
            wrong = "An HTTP/1.1 request names its Host" if host is None else "Its Host is no host, or several"
            self._refuse(sock, 400, f"{wrong} (RFC 9112, 3.2).")
            raise StopIteration
        try:
            _answer(self.wsgi(environ, exchange.start_response), exchange)
        except PeerGone:
            raise
        except Exception:
            if not exchange.headers_sent:
                raise
            self.log.exception("an answer broke off")
            raise StopIteration from None
        if rest_of(req.body):
            _linger(sock)
        if exchange.should_close():
            raise StopIteration


def _answer(parts: Any, exchange: ResponseWriter) -> None:
    """Send all that the app has to say."""
    try:
        for part in parts:
            exchange.write(part)
        exchange.close()
    finally:
        if hasattr(parts, "close"):
            parts.close()


def _finished(parser: RequestParser, request: Any, seconds: float) -> bool:
    """Read what is left of a request's body, in bounded time; whether the next request can follow."""
    reader = request.body.reader
    if not getattr(reader, "length", 0) and getattr(reader, "parser", None) is None:
        parser.mesg = None  # so that the parser does not look for a rest once more
        return True
    with gevent.Timeout(seconds, False):  # type: ignore[arg-type] # noqa: FBT003 - raises nothing
        return bool(parser.finish_body())
    return False


def _linger(sock: Any) -> None:
    """Say that no more is sent, and read some of what still comes, so that no reset overtakes the answer."""
    left = LINGER_BYTES
    try:
        with gevent.Timeout(LINGER_SECONDS, TimeoutError("the client goes on sending")):
            sock.shutdown(SHUT_WR)
            while left > 0 and (data := sock.recv(65_536)):
                left -= len(data)
                gevent.sleep(0)  # it may come without end
    except OSError:
        return
