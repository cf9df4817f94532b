"""Implements Transport with a requests Session and the bus's own adapter for http and https."""

from collections.abc import Callable, Sequence
from http.cookiejar import DefaultCookiePolicy

import requests

from eventbus.core.addresses import DEFAULT_PORTS, Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.errors import BadRequest
from eventbus.core.model import Event, Subscriber
from eventbus.core.override import override
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import AddressCheck, Elements, Route, Transport
from eventbus.delivery.transport.batch_request import BatchRequestBuilder
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.consent import request_consent
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.http import HttpAdapter
from eventbus.delivery.transport.limits import DEFAULT_TIMING, TransportTiming
from eventbus.delivery.transport.own_secrets import OwnBatchRequestBuilder, OwnRequestBuilder
from eventbus.delivery.transport.redacted_route import RedactedRoute
from eventbus.delivery.transport.request import RequestBuilder, subscriber_head

#: What builds the requests of one event, and of several.
Builders = tuple[RequestBuilder | OwnRequestBuilder, BatchRequestBuilder | OwnBatchRequestBuilder]


class SessionTransport(Transport):
    """One Session for all subscribers, which keeps only connections; ``tls`` is for those by https.

    ``asks_consent`` says whether subscribers are asked for their consent; deliveries then name the ``origin``.
    """

    def __init__(
        self,
        dialer: Dialer,
        secrets: Sequence[bytes] = (),
        origin: str = "eventbus",
        tls: ClientTls | None = None,
        *,
        asks_consent: bool = False,
        timing: TransportTiming = DEFAULT_TIMING,
    ) -> None:
        self._dialer, self._tls = dialer, tls
        self._origin, self._asks_consent = origin, asks_consent
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._adapter = HttpAdapter(dialer, tls, timing=timing)
        for scheme in DEFAULT_PORTS:
            self.session.mount(f"{scheme}://", self._adapter)
        self.request_builder = RequestBuilder(secrets)
        self._shared_builders = self.request_builder, BatchRequestBuilder(secrets)

    @override
    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> Route:
        authorization, builders = credentials.authorization, self._builders(credentials)
        head = subscriber_head(subscriber, self._origin if self._asks_consent else None, authorization)

        def ask_consent() -> Consent:
            return request_consent(self._adapter, subscriber, self._origin, authorization)

        route = HttpRoute(self._adapter, subscriber, builders, head, ask_consent)
        return RedactedRoute(route, credentials) if credentials else route

    def _builders(self, credentials: Credentials) -> Builders:
        """Return what signs by the bus's secrets, or by those of the subscriber."""
        if not credentials.secrets:
            return self._shared_builders
        return OwnRequestBuilder(credentials), OwnBatchRequestBuilder(credentials)

    @override
    def check_address(self, address: Address) -> AddressCheck:
        return self._dialer.check_address(address.host, address.port)

    @override
    def certificate_expiry(self) -> float | None:
        return None if self._tls is None else self._tls.expiry()

    @override
    def close(self) -> None:
        self.session.close()


class HttpRoute(Route):
    """Sends events to one subscriber."""

    __slots__ = ("_adapter", "_ask_consent", "_batch_builder", "_builder", "_head", "_pool", "_timeout")

    def __init__(
        self,
        adapter: HttpAdapter,
        subscriber: Subscriber,
        builders: Builders,
        head: bytes,
        ask_consent: Callable[[], Consent],
    ) -> None:
        self._adapter = adapter
        self._ask_consent = ask_consent
        self._builder, self._batch_builder = builders
        self._head = head
        address = subscriber.address
        self._pool = adapter.pool(address.scheme, address.host, address.port)
        self._pool.route_count += 1
        self._timeout = subscriber.options.timeout

    @override
    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        try:
            message = self._builder.build(self._head, event, attempt, wall)
        except BadRequest as error:  # the journal holds something that no publisher can have sent
            return DeliveryResponse(None, error=str(error), sendable=False)
        return self._adapter.attempt(self._pool, message, now + self._timeout)

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        message = self._batch_builder.build(self._head, batch, attempt, wall)
        return self._adapter.attempt_batch(self._pool, message, now + self._timeout)

    @override
    def ask_consent(self) -> Consent:
        return self._ask_consent()

    @override
    def close(self) -> None:
        self._adapter.release_pool(self._pool)
