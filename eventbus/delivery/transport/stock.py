"""A route through the adapter that comes with requests: for ``https://``."""

import socket
from typing import Any

import gevent
import requests
from gevent.queue import LifoQueue
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError

from eventbus.delivery.outcome import Answer, Consent
from eventbus.delivery.transport.base import EXCERPT_BYTES, KEPT_CONNECTIONS, MAX_ANSWER_BYTES
from eventbus.delivery.transport.dial import Dialler, NotAllowed
from eventbus.delivery.transport.handshake import ask
from eventbus.delivery.transport.message import Heads, subscriber_head
from eventbus.delivery.transport.shortage import SHORTAGES, told
from eventbus.model import Event, Subscriber

#: Subscribers whose connections are kept.
KEPT_SUBSCRIBERS = 1_024
#: Part of an attempt's time for connecting: a connect that ends by itself closes its socket.
CONNECT_SHARE = 0.95
#: How an exception of requests is told to people; the first match counts.
_TOLD: tuple[tuple[type[Exception], str], ...] = (
    (requests.exceptions.SSLError, "TLS failed"),
    (requests.exceptions.Timeout, "timed out"),
    (requests.exceptions.ConnectionError, "connection failed"),
    (Exception, "no HTTP answer"),
)


class StockAdapter(HTTPAdapter):
    """The stock adapter, but that a connection is opened where the rules for networks let it."""

    def __init__(self, dialler: Dialler) -> None:
        self._dialler = dialler
        super().__init__(KEPT_SUBSCRIBERS, KEPT_CONNECTIONS, max_retries=0)

    def build_response(self, request: requests.PreparedRequest, answer: Any) -> requests.Response:
        """As HTTPAdapter has it, without a look at the cookies, which nobody keeps."""
        original = getattr(answer, "_original_response", None)
        if original is not None:
            for name in ("Set-Cookie", "Set-Cookie2"):
                del original.msg[name]
        return super().build_response(request, answer)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As HTTPAdapter has it, with connections that dial as they should."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _dialling(HTTPConnectionPool, self._dialler),
            "https": _dialling(HTTPSConnectionPool, self._dialler),
        }


def _dialling(pool: type[HTTPConnectionPool], dialler: Dialler) -> type[HTTPConnectionPool]:
    """A pool whose connections are opened by the dialler."""
    kind: Any = pool.ConnectionCls

    class Connection(kind):  # type: ignore[misc] # one of two classes
        def _new_conn(self) -> socket.socket:
            try:
                peer = dialler.connect(self._dns_host, self.port)
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error
            peer.settimeout(self.timeout)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return peer

    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


class StockRoute:
    """The way to one subscriber through a stock adapter."""

    def __init__(self, adapter: BaseAdapter, subscriber: Subscriber, heads: Heads, origin: str) -> None:
        self._adapter = adapter
        self._subscriber, self._heads, self._origin = subscriber, heads, origin
        self._url = subscriber.address.url
        self._head = subscriber_head(subscriber)
        self._timeout = subscriber.options.timeout

    def post(self, event: Event, attempt: int, now: float, wall: float) -> Answer:
        """See Route.post.

        The adapter is asked directly: ``Session.send`` would follow, or read the whole of, a redirect. Its
        timeouts are for each read, so that a timer around the whole attempt is what ends it.
        """
        request = self._prepared(event, attempt, wall)
        with gevent.Timeout(self._timeout) as deadline:
            try:
                seconds = self._timeout * CONNECT_SHARE, self._timeout
                return _read(self._adapter.send(request, stream=True, timeout=seconds))
            except gevent.Timeout as timer:
                if timer is not deadline:
                    raise
                return Answer(None, error="timed out")
            except (requests.RequestException, HTTPError, ValueError, OSError) as error:
                return _answer(error)

    def ask_consent(self) -> Consent:
        """See Route.ask_consent."""
        return ask(self._adapter, self._subscriber, self._origin)

    def close(self) -> None:
        """See Route.close; the stock adapter keeps its own count of connections."""

    def _prepared(self, event: Event, attempt: int, wall: float) -> requests.PreparedRequest:
        head = self._head + self._heads.of_event(event, attempt, wall)
        pairs = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:-2]]
        request = requests.PreparedRequest()
        request.method, request.url, request.body = "POST", self._url, event.body
        request.headers = requests.structures.CaseInsensitiveDict({name: value for name, _, value in pairs})
        return request


def _read(response: requests.Response) -> Answer:
    """Read a bounded part of the body; a connection that is not at its answer's end is closed."""
    raw = response.raw
    try:
        body = raw.read(MAX_ANSWER_BYTES, decode_content=False)
        complete = len(body) < MAX_ANSWER_BYTES and not raw.read(1, decode_content=False)
    except BaseException:
        raw.close()
        raise
    if complete:
        raw.release_conn()
    else:
        raw.close()
    return Answer(response.status_code, response.headers.get("Retry-After"), excerpt=body[:EXCERPT_BYTES])


def _answer(error: Exception) -> Answer:
    """What an attempt comes to that failed with this."""
    text = next(text for kind, text in _TOLD if isinstance(error, kind))
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    if isinstance(cause, OSError) and (isinstance(cause, NotAllowed) or cause.errno in SHORTAGES):
        return told(cause)
    detail = " ".join(str(cause).split())
    return Answer(None, error=f"{text}: {detail}" if detail else text)


# A timeout that strikes while the standard library's queue takes a connection back would lose it.
HTTPConnectionPool.QueueCls = LifoQueue  # type: ignore[assignment]
