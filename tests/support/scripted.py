"""A transport without a network: every attempt waits until a test says what comes back."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gevent.event import AsyncResult

from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.model import Event, Subscriber
from eventbus.core.override import override
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import AddressCheck, Elements, Route, Transport


class Sent(NamedTuple):
    """An event of an attempt: its id, and its order key or an empty one."""

    id: str
    key: str


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt that waits for its answer."""

    key: str
    events: list[Sent]
    credentials: Credentials = NO_CREDENTIALS
    answer: AsyncResult = field(default_factory=AsyncResult)

    def answer_with(self, response: "Said") -> None:
        """Answer it; a function makes the response for what was sent."""
        self.answer.set(response(self) if callable(response) else response)


#: What an attempt may be answered.
Said = DeliveryResponse | Callable[[Attempt], DeliveryResponse]


class ScriptedTransport(Transport):
    """Holds attempts back in their order; with ``always`` set, each is answered by that at once."""

    def __init__(self, always: DeliveryResponse | None = None) -> None:
        self.held: list[Attempt] = []
        self.always = always
        self.taken: Counter[tuple[str, str]] = Counter()  # (key, event's id) -> times it was answered 2xx
        self.begun: Callable[[str, list[Sent]], object] = lambda key, events: None  #: is told of each attempt

    @override
    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> "ScriptedRoute":
        return ScriptedRoute(self, subscriber.key, credentials)

    @override
    def check_address(self, address: Address) -> AddressCheck:
        return AddressCheck()

    @override
    def close(self) -> None:
        """Do nothing."""

    def answer(self, attempts: Sequence[Attempt], response: Said) -> None:
        """Answer these attempts."""
        for attempt in attempts:
            attempt.answer_with(response)

    def post(self, key: str, events: list[Sent], credentials: Credentials, *, is_batch: bool) -> DeliveryResponse:
        """Wait for what comes back."""
        self.begun(key, events)
        response = self.always or self._wait(Attempt(key, events, credentials))
        if response.status is not None and 200 <= response.status < 300:
            failed = _failed_in(response, events) if is_batch else ()
            self.taken.update((key, event.id) for event in events if event.id not in failed)
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
        return self.transport.post(self.key, [Sent(event.id, event.key)], self.credentials, is_batch=False)

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        events = [Sent(element.ids[0], json.loads(element.text).get("key", "")) for element in batch]
        return self.transport.post(self.key, events, self.credentials, is_batch=True)

    @override
    def ask_consent(self) -> Consent:
        return Consent(given=True)

    @override
    def close(self) -> None:
        """Do nothing."""


def _failed_in(response: DeliveryResponse, events: Sequence[Sent]) -> set[str]:
    """The ids of the events that the answer to a batch names; all, where it is not whole."""
    try:
        return {entry["id"] for entry in json.loads(response.body)["failed"]} if response.body else set()
    except ValueError:
        return {event.id for event in events}
