"""The only door to the subscribers: one attempt to POST an event, and what came back."""

from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Protocol

import gevent
import requests
from gevent.queue import LifoQueue
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool

from eventbus import __version__
from eventbus.delivery.outcome import Answer
from eventbus.model import Event, Subscriber

#: Bytes of an answer's body that are kept for whoever looks.
EXCERPT_BYTES = 1_024
#: Bytes of an answer's body that are read, so that its connection can be used again; past this it is closed.
MAX_ANSWER_BYTES = 65_536
#: Subscribers whose connections are kept.
KEPT_SUBSCRIBERS = 1_024
#: Idle connections kept for each of them.
KEPT_CONNECTIONS = 32


class Transport(Protocol):
    """Makes attempts. Every implementation passes tests/contract/test_transport.py."""

    def post(self, subscriber: Subscriber, event: Event, attempt: int, wall: float) -> Answer:
        """POST an event once, within the subscriber's timeout; never raises for what a subscriber does."""

    def close(self) -> None:
        """Close the connections that are kept."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """How an exception of the HTTP library is told to people."""

    kinds: tuple[type[BaseException], ...]
    text: str


_FAILURES = (
    _Failure((requests.exceptions.SSLError,), "TLS failed"),
    _Failure((requests.exceptions.ConnectTimeout, requests.exceptions.ReadTimeout), "timed out"),
    _Failure((requests.exceptions.ConnectionError,), "connection failed"),
    _Failure((requests.exceptions.RequestException, ValueError, OSError), "no HTTP answer"),
)


class RequestsTransport:
    """Attempts through a requests Session that keeps nothing but connections: no cookies, proxies or netrc."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(KEPT_SUBSCRIBERS, KEPT_CONNECTIONS, max_retries=0))

    def post(self, subscriber: Subscriber, event: Event, attempt: int, wall: float) -> Answer:
        """See Transport.post.

        The adapter is asked directly: ``Session.send`` would follow, or read the whole of, a redirect.
        """
        timeout = subscriber.options.timeout
        request = _prepared(subscriber, event, attempt, wall)
        with gevent.Timeout(timeout) as deadline:
            try:
                adapter = self._session.get_adapter(request.url or "")
                response = adapter.send(request, stream=True, timeout=timeout, verify=True)
                return _read(response)
            except gevent.Timeout as timer:
                if timer is not deadline:
                    raise
                return Answer(None, error=f"timed out after {timeout:g} s")
            except (requests.RequestException, ValueError, OSError) as error:
                return Answer(None, error=_told(error))

    def close(self) -> None:
        """See Transport.close."""
        self._session.close()


def _prepared(subscriber: Subscriber, event: Event, attempt: int, wall: float) -> requests.PreparedRequest:
    headers = {
        "Host": subscriber.address.authority,
        "User-Agent": f"eventbus/{__version__}",
        "Accept-Encoding": "identity",
        **event.headers,
        "Webhook-Id": event.id,
        "Webhook-Timestamp": str(int(wall)),
        "Eventbus-Attempt": str(attempt),
    }
    if event.topic is not None:
        headers["Eventbus-Topic"] = event.topic
    request = requests.PreparedRequest()
    request.prepare_method("POST")
    request.url = subscriber.address.url
    request.prepare_headers(headers)
    request.body = event.body
    request.headers["Content-Length"] = str(len(event.body))
    request.hooks = {}
    return request


def _read(response: requests.Response) -> Answer:
    """Read a bounded part of the body; a connection that is not at the answer's end is closed."""
    raw = response.raw
    try:
        body = raw.read(MAX_ANSWER_BYTES, decode_content=False)
        complete = len(body) < MAX_ANSWER_BYTES or not raw.read(1, decode_content=False)
    except BaseException:
        raw.close()
        raise
    if complete:
        raw.release_conn()
    else:
        raw.close()
    return Answer(response.status_code, response.headers.get("Retry-After"), excerpt=body[:EXCERPT_BYTES])


def _told(error: BaseException) -> str:
    text = next(failure.text for failure in _FAILURES if isinstance(error, failure.kinds))
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    detail = " ".join(str(cause).split())
    return f"{text}: {detail}" if detail else text


# A timeout that strikes while the standard library's queue takes a connection back would lose it.
HTTPConnectionPool.QueueCls = LifoQueue  # type: ignore[assignment]
