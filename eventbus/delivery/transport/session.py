"""Routes through a requests Session: the lean adapter for ``http://``, the stock one for ``https://``."""

from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter

from eventbus.delivery.outcome import Answer
from eventbus.delivery.transport.base import KEPT_CONNECTIONS, Route
from eventbus.delivery.transport.lean import LeanAdapter
from eventbus.delivery.transport.message import Heads, subscriber_head
from eventbus.delivery.transport.stock import StockRoute
from eventbus.model import Event, Subscriber

#: Subscribers reached by https whose connections are kept.
KEPT_SUBSCRIBERS = 1_024


class SessionTransport:
    """One Session for all subscribers, that keeps nothing but connections."""

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.session.mount("http://", LeanAdapter())
        self.session.mount("https://", HTTPAdapter(KEPT_SUBSCRIBERS, KEPT_CONNECTIONS, max_retries=0))
        self.heads = Heads()

    def route(self, subscriber: Subscriber) -> Route:
        """See Transport.route."""
        adapter = self.session.get_adapter(subscriber.address.url)
        if isinstance(adapter, LeanAdapter):
            return LeanRoute(adapter, subscriber, self.heads)
        return StockRoute(adapter, subscriber)

    def close(self) -> None:
        """See Transport.close."""
        self.session.close()


class LeanRoute:
    """The way to a subscriber by ``http://``."""

    __slots__ = ("_adapter", "_head", "_heads", "_place", "_timeout")

    def __init__(self, adapter: LeanAdapter, subscriber: Subscriber, heads: Heads) -> None:
        self._adapter = adapter
        self._heads = heads
        self._head = subscriber_head(subscriber)
        self._place = adapter.place(subscriber.address.host, subscriber.address.port)
        self._place.users += 1
        self._timeout = subscriber.options.timeout

    def post(self, event: Event, attempt: int, now: float, wall: float) -> Answer:
        """See Route.post."""
        heads = self._heads
        parts = self._head, heads.of_event(event), heads.of_attempt(attempt, wall), event.body
        return self._adapter.attempt(self._place, b"".join(parts), now + self._timeout)

    def close(self) -> None:
        """See Route.close."""
        self._adapter.leave(self._place)
