"""Whoever may subscribe may change anybody's subscription: its owner is told, and the log says who it was."""

import json
from http.client import HTTPConnection
from typing import Any

from eventbus.client import Bus
from tests.support.caller import Caller, register_target
from tests.support.ports import LOOPBACK
from tests.support.server import BusServer

ADDRESS = "127.0.0.1:65123"  # of no other test on this bus
OWNER, OTHER = LOOPBACK, "127.0.0.2"


def ask(bus: BusServer, client: str, method: str, target: str, **headers: str) -> dict[str, Any]:
    """What the bus answers a client that comes from this address."""
    connection = HTTPConnection(LOOPBACK, bus.port, timeout=30, source_address=(client, 0))
    try:
        connection.request(method, target, headers={"Accept": "application/json", **headers})
        response = connection.getresponse()
        assert response.status == 200
        found: dict[str, Any] = json.loads(response.read())
        return found
    finally:
        connection.close()


def renew(bus: BusServer, client: str, *, forwarded: str = "", **terms: Any) -> dict[str, Any]:
    """What a renewal is answered."""
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return ask(bus, client, "POST", register_target(ADDRESS, **terms), **headers)


def test_an_owner_is_told_who_has_changed_its_subscription(bus: BusServer, caller: Caller) -> None:
    """By address, and when, until the owner says its terms again; the one who changed it is not told of itself."""
    assert caller.subscribers() == []
    first = renew(bus, OWNER, topic="orders.*")
    assert (first["created"], first["changed_by"], first["changed_at"]) == (True, None, None)
    stolen = renew(bus, OTHER, topic="nothing", timeout=0.1)
    assert (stolen["created"], stolen["changed_by"]) == (False, OWNER)
    assert renew(bus, OTHER)["changed_by"] is None
    for _ in range(2):
        told = renew(bus, OWNER)
        assert (told["topics"], told["changed_by"]) == (["nothing"], OTHER)
        assert told["changed_at"] >= first["registered_at"]
    assert renew(bus, OWNER, topic="orders.*", timeout=10)["changed_by"] == OTHER
    assert renew(bus, OWNER)["changed_by"] is None
    actor = f"actor=anonymous client={OTHER}"
    assert f"subscriber.changed: 2, of {ADDRESS}, asked by {actor} terms=topics,timeout" in bus.log_text()


def test_an_owner_is_told_who_has_deregistered_it(bus: BusServer, caller: Caller) -> None:
    """The renewal that registers it anew says so; and through a proxy, whom that says it asked for."""
    assert caller.subscribers() == []
    renew(bus, OWNER)
    ask(bus, OWNER, "DELETE", f"/deregister?address={ADDRESS}", **{"X-Forwarded-For": "10.1.2.3"})
    anew = renew(bus, OWNER)
    assert (anew["created"], anew["changed_by"]) == (True, f"{OWNER} for 10.1.2.3")
    assert renew(bus, OWNER)["changed_by"] is None
    actor = f"actor=anonymous client={OWNER}"
    assert f"subscriber.deregistered: 0, of {ADDRESS}, asked by {actor} forwarded_for=10.1.2.3" in bus.log_text()


def test_a_member_is_told_who_has_deregistered_its_group(bus: BusServer, caller: Caller) -> None:
    """Its next renewal, which begins the group anew, says who it was."""
    assert caller.subscribers() == []
    renew(bus, OWNER, group="mailer")
    ask(bus, OTHER, "DELETE", "/deregister?group=mailer")
    anew = renew(bus, OWNER, group="mailer")
    assert (anew["created"], anew["changed_by"]) == (True, OTHER)


def test_the_client_tells_of_it(bus: BusServer, caller: Caller, client: Bus) -> None:
    """What a registration returns has it."""
    assert caller.subscribers() == []
    renew(bus, OTHER)
    subscriber = client.register(ADDRESS)
    assert subscriber.changed_by == OTHER
    assert subscriber.changed_at is not None
