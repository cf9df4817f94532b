import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventbus.client import (
    NO_RETRY,
    ApiError,
    Backoff,
    Bus,
    Conflict,
    Forbidden,
    NotFound,
    Retried,
    Skipped,
    Terms,
    TooLarge,
    Unauthorized,
    Unreachable,
    calls,
)
from tests.support.deadline import eventually
from tests.support.limits import MAX_BODY_BYTES
from tests.support.ports import free_port
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe

TOKENS = {name: f"{name}-token-0123456789" for name in ("publish", "subscribe", "admin")}


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """A client of the shared bus."""
    with Bus(f"http://127.0.0.1:{bus.port}", backoff=NO_RETRY) as client:
        yield client


def refuse(_: Received) -> Answer:
    """Reject everything."""
    return 422, (), b"\xffnot this"


def test_an_event_is_published_and_read_back(client: Bus, subscribe: Subscribe) -> None:
    """Topic, data and attributes reach the subscriber, and the journal shows what became of it."""
    subscriber = subscribe(topic="client.*")
    published = client.publish("client.one", {"n": 1}, attributes={"source": "/t", "subject": "\u00fc"})
    subscriber.wait_for_ids([published.id])
    received = subscriber.received[0]
    assert (received.body, received.header("ce-subject")) == (b'{"n":1}', "%C3%BC")
    assert (published.subscribers, published.duplicate) == (1, False)
    event = client.event(published.id)
    assert (event.topic, event.data, event.attributes["subject"]) == ("client.one", {"n": 1}, "\u00fc")
    assert event.at.tzinfo is not None
    address = client.subscribers()[0].address
    eventually(lambda: client.deliveries(published.id)[0].state == "delivered", 10)
    assert [found.address for found in client.deliveries(published.id)] == [address]


def test_an_operator_pauses_skips_and_resumes(client: Bus, subscribe: Subscribe) -> None:
    """What is skipped while nothing is attempted is dead, and the rest comes when the pause ends."""
    subscriber = subscribe(topic="client.*")
    until = datetime.now(UTC) + timedelta(hours=1)
    client.pause(subscriber.address, until=until)
    first, second = [client.publish("client.one", {"n": number}).id for number in (1, 2)]
    (found,) = client.subscribers()
    assert found.pause is not None
    assert (found.state, found.pause.by, found.pause.until) == ("paused", "operator", until.replace(microsecond=0))
    assert client.skip(first, subscriber.address) == Skipped(1, 0)
    with pytest.raises(NotFound, match="is not pending for"):
        client.skip(first, subscriber.address)
    assert client.retry(subscriber.address) == Retried(0, "paused")
    assert (client.resume(subscriber.address), client.resume(subscriber.address)) == (True, False)
    subscriber.wait_for_ids([second])
    (letter,) = client.dead_letters(address=subscriber.address)
    assert (letter.event, letter.reason, letter.attempts) == (first, "skipped", 0)
    assert client.discard(letter=letter.id) == 1


def test_an_event_is_scheduled_and_comes_when_it_is_due(client: Bus, subscribe: Subscribe) -> None:
    """It is not in the journal before; its id stays the same, and it is scheduled no more."""
    subscriber = subscribe(topic="client.*")
    published = client.publish("client.due", {"n": 1}, delay=0.5)
    assert published.scheduled_for is not None
    subscriber.wait_for_ids([published.id])
    event = client.event(published.id)
    assert (event.data, event.scheduled_for) == ({"n": 1}, None)
    with pytest.raises(Conflict, match="is in the journal"):
        client.cancel(published.id)


def test_scheduled_events_are_listed_and_cancelled(client: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all pages, the one that is due next first; batches are due together, and what is cancelled is gone."""
    monkeypatch.setattr(calls, "PAGE_LIMIT", 2)
    at = datetime.now(UTC).replace(microsecond=250_000) + timedelta(days=1)
    ids = client.publish_many("client.due", range(5), size=2, delay=timedelta(hours=1))
    late = client.publish("client.due", b"x", deliver_at=at)
    assert late.scheduled_for == at
    found = [event for event in client.scheduled() if event.topic == "client.due"]
    assert [event.id for event in found] == [*ids, late.id]
    assert {event.scheduled_for for event in found} == {ids.scheduled_for, at}
    assert client.event(late.id).scheduled_for == at
    cancelled = [client.cancel(event_id) for event_id in [*ids, late.id]]
    assert client.cancel(late.id) == cancelled[-1]
    with pytest.raises(NotFound, match="was cancelled at"):
        client.event(late.id)
    with pytest.raises(ApiError, match="366 days from now"):
        client.publish("client.due", deliver_at=at + timedelta(days=366))
    assert not list(client.scheduled())


def test_a_key_makes_two_publishes_one(client: Bus) -> None:
    """The second is answered with the first's id, and says so."""
    first = client.publish("client.key", b"x", key="k-one")
    again = client.publish("client.key", b"x", key="k-one")
    assert (first.duplicate, again.duplicate, again.id) == (False, True, first.id)
    batch = client.publish_many("client.key", range(3), key="k-many")
    assert client.publish_many("client.key", range(3), key="k-many") == batch
    assert client.event(first.id).body == b"x"
    assert sum(event.id in batch for event in client.events(topics=["client.key"])) == 3


def test_many_events_are_published_in_batches(client: Bus) -> None:
    """Each is an event of its own, in order, whatever is in it."""
    texts = [f"line\nend {number} \u2028" for number in range(2_500)]
    counts: list[int] = []
    ids = client.publish_many("client.many", iter(texts), progress=counts.append)
    assert counts == [1_000, 2_000, 2_500]
    read = list(client.events(topics=["client.many"]))
    assert [event.id for event in read] == ids
    assert [event.data for event in read] == texts


def test_reading_begins_where_it_is_told(client: Bus) -> None:
    """After an event, after a time, or now; pages end with the newest."""
    before = datetime.now(UTC) - timedelta(days=1)
    ids = [client.publish("client.place", str(number)).id for number in range(5)]
    assert [event.id for event in client.events(after=ids[1])] == ids[2:]
    assert [event.id for event in client.events(after=before, topics=["client.place"])] == ids
    assert list(client.events(after="now")) == []
    with pytest.raises(NotFound, match="not in the journal"):
        next(client.events(after="never-published"))


def test_a_rare_topic_is_found_behind_many_others(client: Bus) -> None:
    """However many events of other topics lie between."""
    start = client.publish("client.start").id
    client.publish_many("client.noise", range(11_000))
    rare = client.publish("client.rare").id
    assert [event.id for event in client.events(after=start, topics=["client.rare"])] == [rare]


@contextmanager
def followed(client: Bus, after: str) -> Iterator[list[str]]:
    """What a thread reads that follows some topics, until another closes its feed."""
    got: list[str] = []
    feed = client.events(after=after, topics=["client.f.>"], follow=True)
    reader = threading.Thread(target=lambda: got.extend(event.text for event in feed))
    reader.start()
    try:
        yield got
    finally:
        feed.close()
        reader.join(10)
    assert not reader.is_alive()
    assert list(feed) == []


def test_a_follower_gets_what_comes(client: Bus) -> None:
    """What is there after its position, and what comes, of its topics only, until its feed is closed."""
    position = client.publish("client.f.x", "before").id
    client.publish("client.f.x", "one")
    with followed(client, position) as got:
        eventually(lambda: got == ["one"], 10)
        client.publish("client.g", "other")
        client.publish("client.f.x.y", "two")
        eventually(lambda: got == ["one", "two"], 10)


def test_a_follower_may_begin_now(client: Bus) -> None:
    """What was there before is not read."""
    client.publish("client.f.x", "before")
    with followed(client, "now") as got:
        eventually(lambda: client.publish("client.f.x", "after") and got, 10)
        assert set(got) == {"after"}


def test_dead_letters_are_read_replayed_and_discarded(client: Bus, subscribe: Subscribe) -> None:
    """Over more than one page, and by each way to choose them."""
    rejecting = subscribe(refuse, topic="client.dead")
    client.publish_many("client.dead", range(250))
    address = rejecting.address
    eventually(lambda: client.subscribers()[0].dead == 250, 20)
    letters = list(client.dead_letters(address=address))
    assert len({letter.event for letter in letters}) == 250
    assert (letters[0].last_status, letters[0].last_answer, letters[0].topic) == (422, b"\xffnot this", "client.dead")
    assert client.discard(letter=letters[0].id) == 1
    rejecting.respond = lambda _: (200, (), b"")
    assert client.replay_dead_letters(letter=letters[1].id) == 1
    replayed = client.replay_dead_letters(address=address)
    assert replayed == 248
    eventually(lambda: client.replay_outcome(replayed.replay or "").pending == 0, 20)
    outcome = client.replay_outcome(replayed.replay or "")
    assert (outcome.replayed, outcome.delivered, outcome.dead_again) == (248, 248, 0)
    eventually(lambda: client.subscribers()[0].delivered == 249, 20)
    assert client.replay(address, start=letters[-1].event, end=letters[-1].event) == 1
    assert client.discard(address=address) == 0


def test_a_refusal_says_why(client: Bus) -> None:
    """Each has its status, the bus's reason, and its own class in the tree."""
    with pytest.raises(ApiError, match="Wrong input address") as error:
        client.register("no address")
    assert error.value.status == 400
    with pytest.raises(Conflict, match="not registered"):
        client.replay(f"127.0.0.1:{free_port()}", start="earliest")
    with pytest.raises(NotFound):
        client.discard(letter=10**9)
    with pytest.raises(TooLarge):
        client.publish("a", b"x" * (MAX_BODY_BYTES + 1))
    assert client.publish("a", b"").id  # the connection is none the worse


def test_a_bus_that_is_not_there_is_unreachable() -> None:
    """After max_elapsed seconds."""
    for backoff in (NO_RETRY, Backoff(first=0.01, longest=0.02, max_elapsed=0.2)):
        with Bus(f"127.0.0.1:{free_port()}", backoff=backoff) as nobody:
            for call in (
                nobody.subscribers,
                lambda nobody=nobody: nobody.publish("a"),
                lambda nobody=nobody: next(nobody.events(follow=True)),
            ):
                with pytest.raises(Unreachable, match="No answer from the bus"):
                    call()


def test_registering_answers_how_the_subscriber_is_doing(client: Bus) -> None:
    """With its options in force, times and account; and it can be taken back."""
    with RecordingSubscriber() as subscriber:
        terms = Terms(lease=30, max_in_flight=3, timeout=2.5, ordered=True, resume=False, start="now")
        payload = client.register(subscriber.address, topics=["client.r.*"], terms=terms)
        assert (payload.created, payload.topics, payload.lease, payload.renew_after) == (True, ("client.r.*",), 30, 10)
        assert payload.expires_at > payload.registered_at
        assert client.register(subscriber.address, topics=()).topics == ()
        client.deregister(subscriber.address)
        assert client.subscribers() == []


def test_tokens_let_each_do_its_own(tmp_path: Path) -> None:
    """A missing token is Unauthorized, one for other things Forbidden."""
    settings = {f"EVENTBUS_{name.upper()}_TOKENS": token for name, token in TOKENS.items()}
    with BusServer(tmp_path, settings) as server:
        url = f"http://127.0.0.1:{server.port}"
        publisher, admin = Bus(url, token=TOKENS["publish"]), Bus(url, token=TOKENS["admin"])
        event_id = publisher.publish("a", b"\xff").id
        assert admin.event(event_id).body == b"\xff"
        with pytest.raises(Forbidden):
            publisher.subscribers()
        with pytest.raises(Unauthorized):
            Bus(url).publish("a")
        with pytest.raises(Unauthorized):
            next(Bus(url, token="x" * 20).events(follow=True))
        for each in (publisher, admin):
            each.close()


def test_a_path_before_the_routes_is_kept(tmp_path: Path) -> None:
    """Behind a proxy the bus may live below a path; here the answer shows that it was asked for."""
    with (
        RecordingSubscriber(lambda _: (404, (), b"nothing here")) as proxy,
        Bus(f"http://{proxy.address}/bus/") as client,
    ):
        with pytest.raises(NotFound, match="nothing here"):
            client.publish("a b&c", base64.b64decode("AA=="))
        assert proxy.received[0].path == "/bus/sendMessage?topic=a+b%26c"


def test_a_group_has_members_an_account_and_dead_letters(client: Bus) -> None:
    """Its lists name it and its members; what it has rejected is found, replayed and discarded by its name."""
    with RecordingSubscriber(refuse) as first, RecordingSubscriber(refuse) as second:
        terms = Terms(group="client-group")
        joined = [client.register(one.address, topics=["client.group"], terms=terms) for one in (first, second)]
        assert [(one.group, one.created, one.draining) for one in joined] == [("client-group", True, False)] * 2
        with pytest.raises(Conflict, match="is a member of the group client-group; add group="):
            client.register(first.address)
        published = client.publish("client.group")
        eventually(lambda: len(list(client.dead_letters(group="client-group"))) == 1, 10)
        (delivery,) = client.deliveries(published.id)
        (letter,) = client.dead_letters(address=first.address)
        assert (delivery.address, delivery.group, letter.subscriber, letter.group) == (None, *["client-group"] * 3)
        (group,) = (one for one in client.subscribers().groups if one.group == "client-group")
        assert {one.address for one in group.members} == {first.address, second.address}
        assert (group.accepted, group.dead, group.topics, group.expires_at) == (1, 1, ("client.group",), None)
        assert client.register(first.address, terms=Terms(group="client-group", drain=True)).draining
        assert client.replay_dead_letters(group="client-group") == 1
        eventually(lambda: len(list(client.dead_letters(group="client-group"))) == 1, 10)
        assert client.discard(group="client-group") == 1
        assert client.replay(group="client-group", start=published.id) == 1
        assert client.deregister(first.address) == 0
        assert [one.address for one in client.subscribers() if one.group == "client-group"] == [second.address]
        client.deregister(group="client-group")
        assert client.subscribers().groups == ()
