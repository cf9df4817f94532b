"""A transport without a network: every attempt waits until a test says what comes back."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gevent.event import AsyncResult

from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.model import Event, Subscriber
from eventbus.core.override import override
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import AddressCheck, Elements, Route, Transport


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt that waits for its answer."""

    key: str
    event: Event
    credentials: Credentials = NO_CREDENTIALS
    answer: AsyncResult = field(default_factory=AsyncResult)


class ScriptedTransport(Transport):
    """Holds attempts back in their order; with ``always`` set, each is answered by that at once."""

    def __init__(self, always: DeliveryResponse | None = None) -> None:
        self.held: list[Attempt] = []
        self.always = always
        self.taken: Counter[tuple[str, str]] = Counter()  # (key, event's id) -> times it was answered 2xx

    @override
    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> "ScriptedRoute":
        return ScriptedRoute(self, subscriber.key, credentials)

    @override
    def check_address(self, address: Address) -> AddressCheck:
        return AddressCheck()

    @override
    def close(self) -> None:
        """Do nothing."""

    def answer(self, attempts: Sequence[Attempt], response: DeliveryResponse) -> None:
        """Answer these attempts."""
        for attempt in attempts:
            attempt.answer.set(response)

    def post(self, key: str, event: Event, credentials: Credentials) -> DeliveryResponse:
        """Wait for what comes back."""
        response = self.always or self._wait(Attempt(key, event, credentials))
        if response.status is not None and 200 <= response.status < 300:
            self.taken[key, event.id] += 1
        return response

    def _wait(self, attempt: Attempt) -> DeliveryResponse:
        self.held.append(attempt)
        try:
            response: DeliveryResponse = attempt.answer.get()
        finally:
            self.held.remove(attempt)
        return response


@dataclass(frozen=True, slots=True)
class ScriptedRoute(Route):
    """The way to one subscriber."""

    transport: ScriptedTransport
    key: str
    credentials: Credentials = NO_CREDENTIALS

    @override
    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        return self.transport.post(self.key, event, self.credentials)

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        raise AssertionError("No subscriber of these tests asks for batches.")

    @override
    def ask_consent(self) -> Consent:
        return Consent(given=True)

    @override
    def close(self) -> None:
        """Do nothing."""
