"""Routes through a requests Session, on which the adapter of the bus's own is mounted for both schemes."""

import ssl
from collections.abc import Sequence
from http.cookiejar import DefaultCookiePolicy

import requests

from eventbus.core.addresses import DEFAULT_PORTS, Address
from eventbus.core.errors import BadRequest
from eventbus.core.model import Event, Subscriber
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import Examined, Route
from eventbus.delivery.transport.consent import ask
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.http import HttpAdapter
from eventbus.delivery.transport.request import Heads, subscriber_head


class SessionTransport:
    """One Session for all subscribers, that keeps nothing but connections; ``tls`` verifies those by https.

    Where subscribers are asked for their consent (``asks``), deliveries name the ``origin`` that it was given to.
    """

    def __init__(
        self,
        dialler: Dialer,
        secrets: Sequence[bytes] = (),
        origin: str = "eventbus",
        tls: ssl.SSLContext | None = None,
        *,
        asks: bool = False,
    ) -> None:
        self._dialler = dialler
        self._origin, self._asks = origin, asks
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._adapter = HttpAdapter(dialler, tls)
        for scheme in DEFAULT_PORTS:
            self.session.mount(f"{scheme}://", self._adapter)
        self.heads = Heads(secrets)

    def route(self, subscriber: Subscriber) -> Route:
        """See Transport.route."""
        head = subscriber_head(subscriber, self._origin if self._asks else None)
        return HttpRoute(self._adapter, subscriber, self.heads, head, self._origin)

    def examine(self, address: Address) -> Examined:
        """See Transport.examine."""
        return self._dialler.examine(address.host, address.port)

    def close(self) -> None:
        """See Transport.close."""
        self.session.close()


class HttpRoute:
    """The way to one subscriber."""

    __slots__ = ("_adapter", "_head", "_heads", "_origin", "_pool", "_subscriber", "_timeout")

    def __init__(self, adapter: HttpAdapter, subscriber: Subscriber, heads: Heads, head: bytes, origin: str) -> None:
        self._adapter = adapter
        self._subscriber, self._origin = subscriber, origin
        self._heads = heads
        self._head = head
        address = subscriber.address
        self._pool = adapter.pool(address.scheme, address.host, address.port)
        self._pool.users += 1
        self._timeout = subscriber.options.timeout

    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        """See Route.post."""
        try:
            message = self._heads.message(self._head, event, attempt, wall)
        except BadRequest as refused:  # the journal holds what no publisher can have sent
            return DeliveryResponse(None, error=str(refused), sendable=False)
        return self._adapter.attempt(self._pool, message, now + self._timeout)

    def ask_consent(self) -> Consent:
        """See Route.ask_consent."""
        return ask(self._adapter, self._subscriber, self._origin)

    def close(self) -> None:
        """See Route.close."""
        self._adapter.leave(self._pool)
