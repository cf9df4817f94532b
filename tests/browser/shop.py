"""A bus as one meets it: some subscribers take everything, one is failing, one has asked for a pause, one is down."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: How the services answer that do not take what they get.
_ANSWERS: dict[str, Answer] = {
    "/billing/event": (422, (), b'{"error": "unknown currency"}'),
    "/mailer/event": (503, (("Retry-After", "600"),), b""),
}
#: A service and the topics that it chose.
SERVICES = {
    "orders": ["orders.>"],
    "search": ["orders.created", "stock.>"],
    "audit": [],
    "billing": ["payments.*"],
    "mailer": ["orders.created", "payments.failed"],
}
TOPICS = ("orders.created", "orders.created", "orders.paid", "payments.captured", "stock.changed", "payments.failed")


@dataclass(frozen=True, slots=True)
class Shop:
    """The services, by name, and what is published to them."""

    caller: Caller
    addresses: dict[str, str]

    def publish(self, number: int) -> str:
        """Publish the event with this number; its id."""
        order = {"order": 4_100 + number, "total": "19.90", "items": [{"sku": "A-1", "count": 1 + number % 3}]}
        headers = (("Content-Type", "application/json"), ("ce-source", "/shop"))
        return self.caller.publish(json.dumps(order).encode(), *headers, topic=TOPICS[number % len(TOPICS)])

    def in_trouble(self) -> bool:
        """Whether those are in trouble that are meant to be, and have shown it."""
        found = {standing["address"]: standing for standing in self.caller.subscribers()}
        billing, mailer, warehouse = (found[self.addresses[name]] for name in ("billing", "mailer", "warehouse"))
        down = warehouse["state"] == "down" and mailer["state"] == "paused"
        return down and billing["dead"] > 2 and billing["pending"] == 0


@contextmanager
def shop(caller: Caller, events: int = 30) -> Iterator[Shop]:
    """The services, registered, with events published to them, and their trouble."""
    with RecordingSubscriber(_respond) as server:
        addresses = {name: f"localhost:{server.port}/{name}" for name in SERVICES}
        addresses["warehouse"] = f"localhost:{free_port()}/warehouse"
        for name, address in addresses.items():
            caller.register(address, topic=SERVICES.get(name, ["orders.paid", "stock.>"]) or [""], lease=3_600)
        found = Shop(caller, addresses)
        for number in range(events):
            found.publish(number)
        eventually(found.in_trouble, 30)
        yield found


def _respond(request: Received) -> Answer:
    return _ANSWERS.get(request.path, (200, (), b""))
