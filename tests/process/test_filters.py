"""A subscriber with a filter gets the events that match, and the others are in its account as filtered."""

import json
from urllib.parse import quote

from tests.support.accounts import account, settled
from tests.support.batches import publish_lines
from tests.support.caller import JSON, Caller, register_target
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe

EU = '{"exact":{"data.region":"eu"}}'


def lines(count: int) -> bytes:
    """So many events as the lines of a batch, every third of them from Europe."""
    return b"\n".join(
        json.dumps({"number": number, "region": "us" if number % 3 else "eu"}).encode() for number in range(count)
    )


def numbers(subscriber: RecordingSubscriber) -> list[int]:
    """The numbers of the events that came one by one, in order."""
    return [json.loads(request.body)["number"] for request in subscriber.received]


def fates(caller: Caller, event_id: str) -> dict[str, str]:
    """The state of an event, by address or group."""
    found = caller.call("GET", f"/events/{event_id}").json()["deliveries"]
    return {one["address"] or one["group"]: one["state"] for one in found}


def test_a_subscriber_gets_what_matches(caller: Caller, subscribe: Subscribe) -> None:
    """Of 30 events 10 match: they are delivered, 20 are filtered, and each event's history says which it is."""
    some, every = subscribe(filter=EU, topic="t.a"), subscribe(topic="t.a")
    ids = publish_lines(caller, lines(30), topic="t.a").json()["ids"]
    eventually(settled(caller, some.address, accepted=30, delivered=10, filtered=20), 30)
    eventually(settled(caller, every.address, accepted=30, delivered=30, filtered=0), 30)
    assert sorted(numbers(some)) == list(range(0, 30, 3))
    assert fates(caller, ids[0]) == {some.address: "delivered", every.address: "delivered"}
    assert fates(caller, ids[1]) == {some.address: "filtered", every.address: "delivered"}
    metrics = caller.call("GET", "/metrics").text
    assert f'eventbus_subscriber_filtered_total{{subscriber="{some.address}"}} 20.0' in metrics
    page = caller.call("GET", f"/dashboard/subscriber?address={some.address}").text
    assert "<dt>Filter</dt><dd>{&#34;exact&#34;:{&#34;data.region&#34;:&#34;eu&#34;}}</dd>" in page
    assert "<b>20</b><span>Filtered" in page


def test_batches_and_groups_get_what_matches(caller: Caller, subscribe: Subscribe) -> None:
    """No batch holds an event that does not match, and of a group's events all members leave the same ones out."""
    batched = subscribe(filter=EU, topic="t.b", batch=5)
    first, second = (subscribe(filter=EU, topic="t.b", group="filtering") for _ in range(2))
    publish_lines(caller, lines(30), topic="t.b")
    eventually(settled(caller, batched.address, accepted=30, delivered=10, filtered=20), 30)
    events = [event for request in batched.received for event in json.loads(request.body)]
    assert sorted(event["data"]["number"] for event in events) == list(range(0, 30, 3))

    def of_group() -> bool:
        (group,) = caller.call("GET", "/listSubscribers", [JSON]).json()["groups"]
        return (group["pending"], group["delivered"], group["filtered"]) == (0, 10, 20)

    eventually(of_group, 30)
    assert sorted(numbers(first) + numbers(second)) == list(range(0, 30, 3))


def test_a_renewal_keeps_changes_and_removes_a_filter(caller: Caller, subscribe: Subscribe) -> None:
    """A renewal without a filter keeps it, another one replaces it, and an empty one removes it."""
    subscriber = subscribe(filter=EU)
    assert caller.register(subscriber.address)["filter"] == json.loads(EU)
    assert caller.register(subscriber.address, filter='[ {"prefix": {"topic": "a."}} ]')["filter"] == [
        {"prefix": {"topic": "a."}}
    ]
    assert caller.register(subscriber.address, filter="")["filter"] is None


def test_a_wrong_filter_is_refused(caller: Caller) -> None:
    """The answer says where the filter is wrong, and the address is not registered."""
    response = caller.call("POST", register_target("127.0.0.1:9", filter='{"all":[{"exact":{"type":5}}]}'), [JSON])
    assert response.status == 400
    assert response.json()["detail"] == (
        "filter is wrong at all[0].exact.type: its value is a text of at least one character, not 5."
    )
    assert not caller.listed("127.0.0.1:9")


def test_filters_and_accounts_outlive_a_restart(own_bus: BusServer) -> None:
    """After a restart the filter holds, for a replay too, and the account still adds up."""
    caller = Caller(own_bus.port)
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address, filter=EU)
        (first, *_) = publish_lines(caller, lines(6)).json()["ids"]
        eventually(settled(caller, subscriber.address, accepted=6, delivered=2, filtered=4), 30)
        own_bus.terminate()
        own_bus.start()
        assert account(caller, subscriber.address)["filtered"] == 4
        where = f"/replay?address={subscriber.address}&from={quote(first)}&to=now"
        assert caller.call("POST", where, [JSON]).status == 200
        eventually(settled(caller, subscriber.address, accepted=12, delivered=4, filtered=8), 30)
        assert sorted(numbers(subscriber)) == [0, 0, 3, 3]
