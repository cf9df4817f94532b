import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from eventbus.client import (
    ApiError,
    Conflict,
    Event,
    Inbox,
    KeyReused,
    Reject,
    Retried,
    Retry,
    Terms,
    Unreachable,
    UsageError,
    Verifier,
)
from eventbus.testing import FakeBus, deliver

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def test_a_fake_bus_records_what_is_published() -> None:
    """Topic, data, type and CloudEvents attributes, as a subscriber would see them."""
    bus = FakeBus(source="/shop")
    published = bus.publish("orders.created", {"n": 1}, attributes={"subject": "a b"})
    (event,) = bus.published
    assert (event.id, event.topic, event.data) == (published.id, "orders.created", {"n": 1})
    assert (event.attributes["subject"], event.attributes["source"]) == ("a b", "/shop")
    assert bus.event(published.id).body == event.body
    named = {f"ce-{name}" for name in event.attributes if name != "datacontenttype"}
    assert set(event.headers) == {"content-type", *named}


def test_a_fake_bus_knows_keys_and_batches() -> None:
    """A repeated key is no new event, of a batch neither."""
    bus = FakeBus()
    first = bus.publish("a", "x", key="k")
    assert bus.publish("a", "x", key="k").duplicate
    assert bus.publish("a", "x", key="k").id == first.id
    with pytest.raises(KeyReused):
        bus.publish("a", "y", key="k")
    ids = bus.publish_many("b", range(5), size=2, key="m")
    assert bus.publish_many("b", range(5), size=2, key="m") == ids
    assert [event.data for event in bus.events(topics=["b"])] == list(range(5))
    assert [event.id for event in bus.events(after=ids[2])] == ids[3:]
    assert bus.publish("c", b"\xff").id == next(iter(bus.events(topics=["c"]))).id


def test_a_fake_bus_has_subscribers() -> None:
    """Registering, renewing and deregistering answer as the bus does."""
    bus = FakeBus()
    first = bus.register("h:1", topics=["a.*"], terms=Terms(lease=30, ordered=True))
    again = bus.register("h:1", terms=Terms(lease=60))
    assert (first.created, first.topics, first.lease, first.ordered) == (True, ("a.*",), 30, True)
    assert (again.created, again.topics, again.lease, again.renew_after) == (False, ("a.*",), 60, 20)
    assert [found.address for found in bus.subscribers()] == ["h:1"]
    bus.deregister("h:1")
    assert bus.subscribers() == []


def test_a_fake_bus_delivers_what_an_inboxs_filter_matches() -> None:
    """An inbox gets the events that match its filter, which is given as JSON's values or as text."""
    bus, taken = FakeBus(source="/shop"), []
    for given in ({"exact": {"data.region": "eu"}}, [{"suffix": {"topic": ".eu"}}], '{"exact":{"subject":"eu"}}'):
        inbox = Inbox(filter=given)
        inbox.on()(lambda event, inbox=inbox: taken.append((inbox.terms.filter, event.topic)))
        bus.deliver_to(inbox)
    bus.publish("orders", {"region": "eu"})
    bus.publish("orders.eu", {"region": "us"})
    bus.publish("orders", {"region": "us"}, attributes={"subject": "eu"})
    bus.publish("orders", {"region": "us"})
    assert taken == [
        ('{"exact":{"data.region":"eu"}}', "orders"),
        ('[{"suffix":{"topic":".eu"}}]', "orders.eu"),
        ('{"exact":{"subject":"eu"}}', "orders"),
    ]


@pytest.mark.parametrize(
    "given", ['{"exact"', {"exact": {}}, [{"equals": {"type": "a"}}], {"exact": {"data.a": {1, 2}}}]
)
def test_a_wrong_filter_is_refused_before_the_bus_is_asked(given: Any) -> None:
    """An inbox does not begin with a filter that the bus would refuse."""
    with pytest.raises(UsageError, match="filter"):
        Inbox(filter=given)


def test_a_fake_bus_keeps_filters() -> None:
    """A subscriber has its filter as the text of its JSON, and a wrong one is refused as the bus does it."""
    bus = FakeBus()
    assert bus.register("h:1", terms=Terms(filter='{"exact": {"key": "a"}}')).filter == '{"exact":{"key":"a"}}'
    assert bus.register("h:1").filter == '{"exact":{"key":"a"}}'
    assert bus.register("h:1", terms=Terms(filter="")).filter == ""
    with pytest.raises(ApiError, match="filter is not JSON"):
        bus.register("h:1", terms=Terms(filter="{"))


def test_a_fake_bus_pauses_and_resumes() -> None:
    """An address, or a group; a pause says by whom and until when, as the bus's does."""
    bus, until = FakeBus(), datetime(2030, 1, 1, tzinfo=UTC)
    bus.register("h:1")
    bus.register("h:2", terms=Terms(group="mailer"))
    bus.pause("h:1", until=until)
    bus.pause(group="mailer")
    first, second = bus.subscribers()
    assert first.state == second.state == "paused"
    assert first.pause is not None
    assert (first.pause.by, first.pause.until) == ("operator", until)
    assert (bus.resume("h:1"), bus.resume("h:1"), bus.retry("h:1")) == (True, False, Retried(0, "ok"))
    assert bus.subscribers()[0].pause is None
    with pytest.raises(Conflict, match="not registered"):
        bus.pause("h:3")


def test_a_fake_bus_has_groups() -> None:
    """Members join, drain, leave one by one or with their group, and an address is in one group at most."""
    bus = FakeBus()
    bus.register("h:1", topics=["a.*"], terms=Terms(group="mailer"))
    second = bus.register("h:2", topics=["b"], terms=Terms(group="mailer", drain=True))
    with pytest.raises(Conflict, match="h:1 is registered in the group mailer"):
        bus.register("h:1")
    assert (second.group, second.draining) == ("mailer", True)
    (group,) = bus.subscribers().groups
    assert (group.group, group.topics) == ("mailer", ("a.*", "b"))
    assert [(member.address, member.draining) for member in group.members] == [("h:1", False), ("h:2", True)]
    bus.deregister("h:2")
    assert [one.address for one in bus.subscribers()] == ["h:1"]
    bus.deregister(group="mailer")
    assert (bus.subscribers(), bus.subscribers().groups) == ([], ())


def test_a_fake_bus_delivers_to_inboxes() -> None:
    """What has a handler is handed over, signed, before the publish returns; and what the inbox answered is there."""
    bus, got = FakeBus(), list[Event]()
    inbox = Inbox(bus, "h:1", verifier=Verifier(SECRET))
    inbox.on("a")(got.append)

    @inbox.on("b")
    def reject(_: Event) -> None:
        raise Reject("no")

    bus.deliver_to(inbox)
    for topic in ("a", "b", "c"):
        bus.publish(topic, {"n": 1})
    assert [event.data for event in got] == [{"n": 1}]
    assert [(event.topic, answer.status) for event, answer in bus.answers] == [("a", 200), ("b", 422)]


def test_a_fake_bus_fails_when_it_is_asked_to() -> None:
    """How a service takes a failure can be tried, without waiting."""
    bus = FakeBus()
    bus.fail_next(Unreachable("gone", sent=True))
    with pytest.raises(Unreachable):
        bus.publish("a")
    bus.publish("a")
    assert len(bus.published) == 1


def test_a_fake_bus_says_what_it_has_not() -> None:
    """Nobody takes silence for an answer."""
    bus = FakeBus()
    with pytest.raises(UsageError, match="LiveServer has"):
        next(bus.events(follow=True))
    with pytest.raises(UsageError, match="LiveServer has"):
        list(bus.dead_letters())
    with pytest.raises(UsageError, match="LiveServer has"):
        bus.event("nope")


def test_a_delivery_is_signed_as_the_inbox_wants_it() -> None:
    """A test that feeds an inbox passes through the same check as the bus."""
    inbox = Inbox(verifier=Verifier(SECRET))
    inbox.on()(lambda _: None)
    assert deliver(inbox, "a", {"n": 1}).status == 200
    other = Inbox(verifier=Verifier("whsec_" + base64.b64encode(b"o" * 32).decode()))
    bus = FakeBus()
    bus.publish("a")
    event = bus.published[0]
    assert other.dispatch("POST", {"webhook-id": event.id}, event.body).status == 401


def test_a_publish_that_waits_is_told_what_the_inboxes_answered() -> None:
    """Each inbox has had its one attempt; what the bus would attempt again is pending."""
    bus, inboxes = FakeBus(), [Inbox() for _ in range(3)]
    inboxes.append(Inbox(filter={"exact": {"key": "none"}}))
    for inbox, result in zip(inboxes, (None, Reject("no"), Retry("later"), None), strict=True):
        inbox.on("a")(lambda _, result=result: result)
        bus.deliver_to(inbox)
    first = bus.publish("a", b"x", key="k", settle=1).fate
    assert first is not None
    assert (first.delivered, first.dead, first.pending, first.filtered, first.discarded) == (1, 1, 1, 1, 0)
    assert [(one.address, one.state, one.attempts) for one in first.subscriptions] == [
        ("inbox-1", "delivered", 1),
        ("inbox-2", "dead", 1),
        ("inbox-3", "pending", 1),
        ("inbox-4", "filtered", 0),
    ]
    assert bus.publish("a", b"x", key="k", settle=1).fate == first
    assert bus.publish("a", b"x").fate is None
