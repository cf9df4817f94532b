"""The gunicorn worker: gunicorn's gevent worker with limits for connections, and with a drain of the bus."""

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
from eventbus.web.server.connections import RESERVED_CONNECTIONS, ClientConnection, Connections
from eventbus.web.server.environment import connection_environ, environ_of, frozen
from eventbus.web.server.host_header import is_host
from eventbus.web.server.listeners import host_and_port, note
from eventbus.web.server.ordinary_head import knows_ordinary_heads
from eventbus.web.server.plain_socket import PlainSocket
from eventbus.web.server.process_tuning import tune_process
from eventbus.web.server.refusals import error_response, refusal
from eventbus.web.server.request_reader import RequestReader
from eventbus.web.server.response_writer import PeerGone, ResponseWriter, TooMuchUnread, has_long_rest

#: Seconds between two checks whether the worker has to stop.
POLL_INTERVAL_SECONDS = 0.1
#: Seconds before the same error about missing file descriptors is logged again.
LOG_INTERVAL_SECONDS = 60.0
#: Seconds and bytes for which the rest of a refused request is read, so that its client receives the response.
LINGER_SECONDS = 5.0
LINGER_BYTES = 32 * 1024 * 1024
#: Seconds that open requests get after the bus has drained.
CLOSE_SECONDS = 3.0
#: Seconds in which a TLS handshake has to complete, at most.
HANDSHAKE_SECONDS = 10.0
#: Seconds in which the first byte of a new connection has to arrive.
FIRST_BYTE_SECONDS = 10.0
#: Paths that are served even on a connection over the limit.
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
#: Host and port of a Unix socket in the WSGI environment, where they must not be empty (PEP 3333).
UNIX_SOCKET_NAME = ("localhost", 80)


class Worker(GeventWorker):  # type: ignore[misc] # gunicorn has no types
    """Serves the bus's application, and drains the bus before it stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.cfg: Any = frozen(self.cfg)
        self.worker_connections += RESERVED_CONNECTIONS
        self._seconds = 0.0  # for a request's head, its body, and each MiB of its response
        self._files_logged_at = -LOG_INTERVAL_SECONDS
        self._secure: Callable[[Any], Any] | None = None  # wraps a connection in TLS
        self._ordinary = not self.cfg.is_ssl and knows_ordinary_heads(self.cfg)

    def load_wsgi(self) -> None:
        """Note the listeners, load the app, and set up the limits of connections."""
        tune_process()
        note(self.sockets)
        super().load_wsgi()
        if self.cfg.is_ssl:
            from eventbus.web.server.tls_client import tls_factory  # noqa: PLC0415 - imports sockets, so only after patching

            self._secure = tls_factory(self.cfg)
        limit = min(self.cfg.worker_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        bus = self.wsgi.bus
        self._seconds = bus.settings.request_seconds
        budget = budget_of(bus.settings.max_bodies_bytes, bus.settings.max_body_bytes)
        per_address = bus.settings.max_connections_per_address
        self._connections = Connections(limit, bus.counters, time.monotonic, budget, per_address)

    def run(self) -> None:
        """Serve until the worker has to stop; return when the bus has drained."""
        hub: Any = get_hub()
        hub.print_exception = self._log_uncaught
        drain = gevent.spawn(self._drain)
        super().run()
        drain.join()

    def _log_uncaught(self, context: Any, kind: Any, error: Any, trace: Any) -> None:
        """Log an exception that no greenlet caught. Log missing file descriptors at most once a minute."""
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            now = time.monotonic()
            if now - self._files_logged_at > LOG_INTERVAL_SECONDS:
                self._files_logged_at = now
                self.log.error(
                    "out of file descriptors: clients wait; raise the limit on open files (LimitNOFILE, ulimit -n)"
                )
            return
        self.log.error("unexpected error: %s", context, exc_info=(kind, error, trace))

    def server_class(self, listener: Any, *, spawn: Any, **_: Any) -> StreamServer:
        """Return the server that accepts connections. gevent's would do the TLS handshake before counting one."""
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=spawn)
        if self.cfg.workers > 1:
            server.max_accept = 1  # so that the other workers accept some, too
        return server

    def _drain(self) -> None:
        while self.alive:
            gevent.sleep(POLL_INTERVAL_SECONDS)
        self.wsgi.bus.drain()
        self._connections.end_idle()
        self._connections.end_rest(CLOSE_SECONDS)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve a connection as gunicorn does, but with a time limit for a head, and without HTTP/2."""
        client.setblocking(1)
        bus = self.wsgi.bus
        seconds = self._seconds
        connection = self._connections.open(client, host_and_port(addr)[0])
        try:
            client = self._do_handshake(connection, self._secure) if self._secure else connection.wrap(PlainSocket)
            self._serve(listener, connection, addr, seconds)
        except (StopIteration, OSError) as end:
            if isinstance(end, TooMuchUnread):
                bus.counters.refused["connections"] += 1
            self.log.debug("connection closed: %r", end)
        except Exception as error:
            bus.counters.refused["connections" if isinstance(error, TooManyStreams) else "no_http"] += 1
            self._refuse(client, *refusal(error, seconds))
        finally:
            self._connections.close(connection)
            client.close()

    def _do_handshake(self, connection: ClientConnection, secure: Callable[[Any], Any]) -> Any:
        """Return the connection wrapped in TLS; it counts as idle during the handshake. Raises OSError."""
        client = connection.wrap(secure)
        connection.mark_idle()
        try:
            client.do_handshake_in(min(HANDSHAKE_SECONDS, self._seconds), self.wsgi.bus.give_way)
        finally:
            connection.mark_busy()
        return client

    def _serve(self, listener: Any, connection: ClientConnection, addr: Any, seconds: float) -> None:
        """Serve the requests of a connection in turn. Raises StopIteration or OSError at its end."""
        parser = RequestParser(self.cfg, connection.client, addr)
        reader = RequestReader(connection.client, self.wsgi.bus.dispatcher.load, parser, ordinary=self._ordinary)
        name, peer = host_and_port(listener.getsockname(), UNIX_SOCKET_NAME), host_and_port(addr)
        common = connection_environ(self.cfg, connection, peer, name)
        wait = FIRST_BYTE_SECONDS
        try:
            while (request := reader.next_request(connection, wait, seconds)) is not None:
                if connection.over_limit and request.path not in HEALTH_PATHS:
                    self.wsgi.bus.counters.refused["connections"] += 1
                    self._refuse(connection.client, 503, "The limit of open connections is reached; try again later.")
                    return
                self._serve_request(request, environ_of(request, common, reader), connection)
                if connection.over_limit or not reader.finish(request, seconds):
                    return
                wait = self.cfg.keepalive
        finally:
            reader.close()

    def _refuse(self, client: Any, status: int, sentence: str) -> None:
        """Answer a request that could not be read, and end the connection."""
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log.exception("unexpected error in a request")
        try:
            with gevent.Timeout(LINGER_SECONDS, TimeoutError("the client does not read")):
                client.sendall(error_response(status, sentence))
        except OSError as end:
            self.log.debug("connection closed: %r", end)
        else:
            _linger(client)

    def _serve_request(self, req: Any, environ: dict[str, Any], connection: ClientConnection) -> None:
        """Serve one request. Raises StopIteration if the connection ends with it.

        Does what gunicorn does, without hooks, access log, files and early hints, which the bus does not use.
        """
        sock = connection.client
        writer = ResponseWriter(req, connection, self._seconds)
        if connection.over_limit or not self.alive:
            writer.force_close()
        host = environ.get("HTTP_HOST")
        if not is_host(host) if host is not None else req.version >= (1, 1):
            wrong = (
                "An HTTP/1.1 request needs a Host header"
                if host is None
                else "The Host header is invalid, or given twice"
            )
            self._refuse(sock, 400, f"{wrong} (RFC 9112, 3.2).")
            raise StopIteration
        try:
            _send_parts(self.wsgi(environ, writer.start_response), writer)
        except PeerGone:
            raise
        except Exception:
            if not writer.headers_sent:
                raise
            self.log.exception("error while sending a response")
            raise StopIteration from None
        if has_long_rest(req.body):
            _linger(sock)
        if writer.should_close():
            raise StopIteration


def _send_parts(parts: Any, writer: ResponseWriter) -> None:
    """Send the response's parts."""
    try:
        for part in parts:
            writer.write(part)
        writer.close()
    finally:
        if hasattr(parts, "close"):
            parts.close()


def _linger(sock: Any) -> None:
    """Shut down for writing, and read some of what still arrives, so that no reset overtakes the response."""
    left = LINGER_BYTES
    try:
        with gevent.Timeout(LINGER_SECONDS, TimeoutError("the client does not stop sending")):
            sock.shutdown(SHUT_WR)
            while left > 0 and (data := sock.recv(65_536)):
                left -= len(data)
                gevent.sleep(0)  # it may never end
    except OSError:
        return
