"""Whatever somebody changes by a request is a line of the log: what, of whom, how much, and who asked."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from eventbus.core.clock import rfc3339
from tests.support.cluster import cluster_on
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

ADMIN, SUBSCRIBER = "admin-0123456789", "subscribe-0123456789"
FROM = "10.9.8.7, 10.1.2.3"
TOKENS = {"EVENTBUS_ADMIN_TOKENS": ADMIN, "EVENTBUS_SUBSCRIBE_TOKENS": SUBSCRIBER, "EVENTBUS_LOG_FORMAT": "json"}


def audited(bus: BusServer) -> list[dict[str, Any]]:
    """All lines of the audit."""
    said = [json.loads(line) for line in bus.log_text().splitlines() if line.startswith("{")]
    return [line for line in said if line["logger"] == "eventbus.web.audit"]


def lines(bus: BusServer) -> list[dict[str, Any]]:
    """What has been changed by requests, as the log has it."""
    return [line for line in audited(bus) if line["actor"] != "system"]


class Person:
    """Asks a bus, with a token, through what says that it is a proxy."""

    def __init__(self, bus: BusServer, token: str) -> None:
        self._mender, self._token = RepairClient(bus.port), token

    def ask(self, method: str, path: str, **query: Any) -> Response:
        """One request, whatever it is answered."""
        headers = [
            ("Authorization", f"Bearer {self._token}"),
            ("X-Forwarded-For", FROM),
            ("Accept", "application/json"),
        ]
        return self._mender.ask(method, path, headers, **query)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[BusServer]:
    """One that logs JSON."""
    with BusServer(tmp_path, TOKENS) as found:
        yield found


def test_each_change_has_its_line(bus: BusServer) -> None:
    """Its name is the same in every version, its count and its target say what it was; no token is in the log."""
    switch = Switch()
    switch.status = 422
    admin, owner = Person(bus, ADMIN), Person(bus, SUBSCRIBER)
    with RecordingSubscriber(switch) as subscriber:
        where = {"address": subscriber.address}
        assert owner.ask("POST", "/registerAndKeepAlive", **where).json()["created"]
        assert not owner.ask("POST", "/registerAndKeepAlive", **where).json()["created"]
        for _ in range(3):
            assert admin.ask("POST", "/sendMessage").status == 200
        letters = eventually(lambda: all_dead(admin, 3), 20)
        switch.status = 200
        assert admin.ask("POST", "/deadLetters/replay", id=letters[0]["id"]).status == 200
        assert admin.ask("POST", "/deadLetters/replay", **where).json()["replayed"] == 2
        assert admin.ask("POST", "/deadLetters/replay", all="true").json()["replayed"] == 0
        assert admin.ask("POST", "/replay", **where, from_="earliest").json()["events"] == 3
        subscriber.wait_for(lambda found: found.counts.total() == 9)
        switch.status = 422
        assert admin.ask("POST", "/sendMessage").status == 200
        eventually(lambda: all_dead(admin, 1), 20)
        assert admin.ask("DELETE", "/deadLetters", all="true").json()["discarded"] == 1
        assert owner.ask("DELETE", "/deregister", **where).status == 200
        assert owner.ask("DELETE", "/deregister", **where).status == 200
    found = lines(bus)
    whose = subscriber.address
    assert [(line["event"], line["target"], line["count"], line["scope"]) for line in found] == [
        ("subscriber.registered", whose, 1, "subscribe"),
        ("dead_letters.replayed", f"dead letter {letters[0]['id']}", 1, "admin"),
        ("dead_letters.replayed", whose, 2, "admin"),
        ("replay.started", whose, 3, "admin"),
        ("dead_letters.discarded", "all", 1, "admin"),
        ("subscriber.deregistered", whose, 0, "subscribe"),
    ]
    told = {(line["actor"], line["client"], line["forwarded_for"], line["level"]) for line in found}
    assert told == {("anonymous", "127.0.0.1", FROM, "info")}
    assert not any(token in bus.log_text() for token in (ADMIN, SUBSCRIBER))


def test_the_settings_of_a_start_are_told_without_secrets(bus: BusServer) -> None:
    """Those that are not the defaults; of tokens only that they are set."""
    (started,) = [line for line in audited(bus) if line["actor"] == "system"]
    assert (started["event"], started["target"]) == ("bus.started", "settings")
    told = dict(one.split("=", 1) for one in started["settings"].split("; "))
    assert told.pop("journal").startswith("sqlite:///")
    assert told | {"port": ""} == {"port": "", "tokens": "set", "log_format": "json"}
    assert started["count"] == len(started["settings"].split("; "))


def test_changes_of_groups_and_members_are_told_apart(bus: BusServer) -> None:
    """A member's line has its address as the target, and its group; a group's has the group."""
    admin, owner = Person(bus, ADMIN), Person(bus, SUBSCRIBER)
    for port in (1, 2):
        owner.ask("POST", "/registerAndKeepAlive", address=f"localhost:{port}", group="mailer", topic="none")
    owner.ask("POST", "/registerAndKeepAlive", address="localhost:1", group="mailer", resume="true")
    assert admin.ask("POST", "/sendMessage", topic="none").status == 200
    assert admin.ask("POST", "/replay", address="localhost:1", from_="earliest").json()["events"] == 1
    owner.ask("DELETE", "/deregister", address="localhost:1")
    owner.ask("DELETE", "/deregister", group="mailer")
    assert [(line["event"], line["target"], line["count"], line.get("group")) for line in lines(bus)] == [
        ("subscriber.registered", "localhost:1", 1, "mailer"),
        ("subscriber.registered", "localhost:2", 1, "mailer"),
        ("subscriber.changed", "localhost:1", 1, "mailer"),
        ("replay.started", "group=mailer", 1, None),
        ("subscriber.deregistered", "localhost:1", 0, None),
        ("subscriber.deregistered", "group=mailer", 2, None),
    ]
    gone = admin.ask("POST", "/replay", group="mailer", from_="earliest")
    assert gone.json()["detail"] == "The group mailer has no members; register one, and replay then."


def test_what_an_operator_does_is_told(bus: BusServer) -> None:
    """With the time until which a pause lasts, and the event that was skipped; a pause that was none has no line."""
    admin = Person(bus, ADMIN)
    address = "localhost:1"
    admin.ask("POST", "/registerAndKeepAlive", address=address)
    assert admin.ask("POST", "/resume", address=address).json()["resumed"] is False
    until = rfc3339(time.time() + 3_600)
    assert admin.ask("POST", "/pause", address=address, until=until).status == 200
    event = admin.ask("POST", "/sendMessage").json()["id"]
    assert admin.ask("POST", "/retry", address=address).json()["retried"] == 0
    assert admin.ask("POST", "/skip", address=address, id=event).json()["skipped"] == 1
    assert admin.ask("POST", "/skip", address=address, id=event).status == 404
    assert admin.ask("POST", "/resume", address=address).json()["resumed"] is True
    found = [(line["event"], line["target"], line["count"]) for line in lines(bus)]
    assert found[1:] == [
        ("subscriber.paused", address, 1),
        ("subscriber.retried", address, 0),
        ("event.skipped", address, 1),
        ("subscriber.resumed", address, 1),
    ]
    assert [line.get("until") for line in lines(bus)][1] == until
    assert [line.get("skipped_event") for line in lines(bus)][3] == event


def all_dead(admin: Person, count: int) -> list[dict[str, Any]]:
    """The dead letters, once there are so many."""
    found: list[dict[str, Any]] = admin.ask("GET", "/deadLetters").json()["dead_letters"]
    return found if len(found) == count else []


def test_what_was_refused_has_no_line(bus: BusServer) -> None:
    """Neither for want of a token, nor where there is nothing to change."""
    nobody, admin = Person(bus, "nobody's-0123456789"), Person(bus, ADMIN)
    assert nobody.ask("DELETE", "/deadLetters", all="true").status == 401
    assert nobody.ask("DELETE", "/deregister", address="127.0.0.1:9").status == 401
    assert admin.ask("DELETE", "/deadLetters", id=7).status == 404
    assert admin.ask("DELETE", "/deadLetters", all="true").status == 200
    assert admin.ask("DELETE", "/deregister", address="127.0.0.1:9").status == 200
    assert admin.ask("POST", "/replay", address="127.0.0.1:9", from_="earliest").status == 409
    assert lines(bus) == []


@NEEDS_REDIS
def test_who_asked_another_node_is_known_to_the_one_that_does_it(tmp_path: Path) -> None:
    """The line is in the log of the node that has the subscriber, with the client of the node that was asked."""
    with (
        RedisServer(tmp_path) as redis,
        cluster_on(tmp_path, redis, [redis.url] * 2, TOKENS) as cluster,
        ExitStack() as stack,
    ):
        subscriber = stack.enter_context(RecordingSubscriber())
        first, second = (Person(node, SUBSCRIBER) for node in cluster.nodes)
        assert first.ask("POST", "/registerAndKeepAlive", address=subscriber.address).status == 200
        assert second.ask("DELETE", "/deregister", address=subscriber.address).status == 200
        found = [line for node in cluster.nodes for line in lines(node)]
        assert sorted(line["event"] for line in found) == ["subscriber.deregistered", "subscriber.registered"]
        assert {(line["client"], line["forwarded_for"]) for line in found} == {("127.0.0.1", FROM)}
