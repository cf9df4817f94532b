"""The examples in other languages, against a true bus that signs: each subscriber with each publisher."""

import base64
import json
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from tests.support.accounts import account
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.examples import SERVERS, TOOLS, Examples, ExampleSubscriber, is_there
from tests.support.raw_client import RawConnection
from tests.support.raw_server import Peer, RawServer, always
from tests.support.server import BusServer

NEW, OLD, OTHER, FOREIGN = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in range(4))
#: The bus's settings. Renewals come at a third of the lease, which is seconds.
SETTINGS = {"EVENTBUS_SIGNING_SECRETS": f"{NEW},{OLD}", "EVENTBUS_LEASE_SECONDS": "6"}
#: What the subscribers that run for all of these tests ask for.
TOPIC = "tried.>"
#: A body that every example takes at most, in bytes.
LARGEST = 16_777_216
TOKEN = "a-token-of-16-letters"  # noqa: S105 - one that opens nothing
_numbers = count()


@pytest.fixture(scope="module")
def own_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that signs with two secrets."""
    with BusServer(tmp_path_factory.mktemp("bus"), SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def examples(own_bus: BusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """Runs examples; of the bus's secrets subscribers know the older one, and one that the bus does not know."""
    known = {"EVENTBUS_SIGNING_SECRETS": f" {OLD} , {OTHER}"}
    with Examples(own_bus.port, tmp_path_factory.mktemp("examples"), known) as runs:
        yield runs


@pytest.fixture
def caller(own_bus: BusServer) -> Caller:
    """Calls that bus."""
    return Caller(own_bus.port)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, examples: Examples) -> ExampleSubscriber:
    """A subscriber that is a server, and runs for all of these tests."""
    return examples.running(request.param, TOPIC)


def unique() -> str:
    """A body that no other event has."""
    return json.dumps({"number": next(_numbers)})


def signed(body: bytes, event: str, secret: str = OLD, seconds: float = 0) -> dict[str, str]:
    """A delivery's headers of so many seconds from now, signed by a library that is not ours."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    signatures = [Webhook(each).sign(event, at, body.decode()) for each in (FOREIGN, secret)]
    stamp = str(int(at.timestamp()))
    return {"Webhook-Id": event, "Webhook-Timestamp": stamp, "Webhook-Signature": " ".join(signatures)}


@pytest.mark.parametrize("publishing", TOOLS)
@pytest.mark.parametrize("subscribing", TOOLS)
def test_each_subscriber_hears_each_publisher(examples: Examples, subscribing: str, publishing: str) -> None:
    """What an example's publisher publishes, line for line, an example's subscriber handles, and nothing else."""
    subscriber = examples.running(subscribing, TOPIC)
    other, *bodies = (unique() for _ in range(4))
    Caller(examples.port).publish(other.encode(), topic="another")
    publisher = examples.publisher(publishing, "tried.now")
    publisher.give(*bodies)
    publisher.end_input()
    assert publisher.ended() == 0, publisher.errors
    subscriber.wait_for(*bodies)
    assert other not in subscriber.bodies
    events = [Caller(examples.port).call("GET", f"/events/{event}").json() for event in publisher.lines]
    assert [event["body"]["text"] for event in events] == bodies


def test_a_crash_of_the_bus_loses_and_repeats_nothing(own_bus: BusServer, examples: Examples, caller: Caller) -> None:
    """The bus is killed and started again while all publish: each event is handled by all, and by none twice."""
    there = [language for language in TOOLS if is_there(language)]
    subscribers = [examples.running(language, TOPIC) for language in there]
    publishers = [examples.publisher(language, "tried.crash") for language in there]
    bodies = [[unique() for _ in range(40)] for _ in publishers]
    for publisher, lines in zip(publishers, bodies, strict=True):
        publisher.give(*lines[:30])
    for publisher in publishers:
        publisher.wait_for_count(3)
    own_bus.kill()
    for publisher, lines in zip(publishers, bodies, strict=True):
        publisher.give(*lines[30:])
        publisher.end_input()
    own_bus.start()
    for publisher in publishers:
        assert publisher.ended() == 0, publisher.errors
    last = unique()
    caller.publish(last.encode(), topic="tried.last")
    wanted = Counter(body for lines in bodies for body in lines)
    for subscriber in subscribers:
        subscriber.wait_for(*wanted, last)
        if subscriber.port:
            eventually(lambda address=subscriber.address: account(caller, address)["pending"] == 0, 30)
        assert {body: times for body, times in Counter(subscriber.bodies).items() if body in wanted} == wanted


@pytest.mark.parametrize("language", TOOLS)
def test_a_lost_answer_makes_no_second_event(
    examples: Examples, own_bus: BusServer, caller: Caller, language: str
) -> None:
    """Where the bus has kept an event and its answer is lost, the publisher's next try adds nothing."""
    keys = list[str | None]()

    def lose_the_first(peer: Peer) -> None:
        while (request := peer.request()) is not None:
            headers = [field for field in request.headers if field[0].lower() not in ("host", "content-length")]
            with RawConnection(own_bus.port) as connection:
                answer = connection.request(request.method, request.path, headers, request.body)
            keys.append(request.header("Idempotency-Key"))
            if keys.count(keys[-1]) == 1:
                return
            fields = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
            peer.send(f"HTTP/1.1 {answer.status} OK\r\n{fields}\r\n".encode() + answer.body)

    with RawServer(lose_the_first) as between:
        publisher = examples.elsewhere(language, "publisher", f"lost.{language}", between.port, TOKEN)
        publisher.give("1", "2")
        publisher.end_input()
        assert publisher.ended() == 0, publisher.errors
    kept = caller.call("GET", f"/events?topic=lost.{language}").json()["events"]
    assert [event["id"] for event in kept] == publisher.lines
    assert [event["body"]["text"] for event in kept] == ["1", "2"]
    assert sorted(Counter(keys).values()) == [2, 2]
    assert {request.header("Authorization") for request in between.received} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("language", TOOLS)
def test_a_publisher_tells_what_is_refused(examples: Examples, language: str) -> None:
    """What the bus refuses is not tried again: the publisher ends, and says why."""
    publisher = examples.publisher(language, "a..b")
    publisher.give("{}")
    publisher.end_input()
    assert publisher.ended() == 1
    assert publisher.lines == []
    assert "400" in publisher.errors
    assert "words separated by dots" in publisher.errors


@pytest.mark.parametrize("language", TOOLS)
def test_a_subscriber_shows_its_token(examples: Examples, language: str) -> None:
    """A subscriber sends its token with each call, and prints why it is refused."""
    with RawServer(always(b"HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nrefused!")) as bus:
        subscriber = examples.elsewhere(language, "subscriber", TOPIC, bus.port, TOKEN)
        eventually(lambda: "401" in subscriber.errors, 30)
        assert bus.received[0].header("Authorization") == f"Bearer {TOKEN}"
    if language in SERVERS:  # these go on trying; the stream's reader ends by itself
        subscriber.send()
    assert subscriber.ended() == (0 if language in SERVERS else 1)


def test_who_is_forgotten_registers_again(examples: Examples, caller: Caller) -> None:
    """A subscriber that the bus does not know any more is back with its next renewal, a third of the lease later."""
    addresses = [examples.running(language, TOPIC).address for language in SERVERS if is_there(language)]
    for address in addresses:
        caller.deregister(address)
    for address in addresses:
        eventually(lambda address=address: caller.listed(address), 30)
        assert caller.subscriber(address)["topics"] == [TOPIC]


@pytest.mark.parametrize("secret", [OLD, OTHER], ids=["old", "other"])
def test_any_known_secret_is_good(server: ExampleSubscriber, secret: str) -> None:
    """A delivery is taken that is signed by one of the secrets that the subscriber knows."""
    body = unique()
    assert server.post(body.encode(), signed(body.encode(), body, secret)) == 204
    assert body in server.bodies


def test_what_is_not_from_the_bus_is_refused(server: ExampleSubscriber) -> None:
    """Without a signature, with a foreign one, of another body or id, or of another time, nothing is handled."""
    text = unique()
    body = text.encode()
    good = signed(body, text)
    forged = [
        {},
        {**good, "Webhook-Signature": ""},
        {**good, "Webhook-Signature": good["Webhook-Signature"].replace("v1,", "v2,")},
        {**good, "Webhook-Id": "another"},
        {**good, "Webhook-Timestamp": f"{good['Webhook-Timestamp']}.5"},
        signed(body + b" ", text),
        signed(body, text, FOREIGN),
        signed(body, text, seconds=-330),
        signed(body, text, seconds=330),
    ]
    assert [server.post(body, headers) for headers in forged] == [401] * len(forged)
    assert text not in server.bodies
    assert server.post(body, good) == 204


def test_a_duplicate_is_handled_once(server: ExampleSubscriber) -> None:
    """The same event again is answered as delivered, and not handled again."""
    body = unique()
    assert [server.post(body.encode(), signed(body.encode(), body)) for _ in range(3)] == [204] * 3
    assert server.bodies.count(body) == 1


def test_each_outcome_has_its_answer(server: ExampleSubscriber) -> None:
    """What is no event, or can never be handled, is answered so that the bus does not try again."""
    assert [server.post(b"no JSON", signed(b"no JSON", "odd")) for _ in range(2)] == [422] * 2
    assert server.post(b"{}", signed(b"{}", "")) == 400
    assert server.post(None, {}, method="GET") == 405
    assert Caller(server.port).call("OPTIONS", "/event").header("WebHook-Allowed-Origin") == "*"
    assert server.post(b"{}", signed(b"{}", "there"), path="/elsewhere") == 404
    assert server.post(b"x" * (LARGEST + 1), {}) == 413


@pytest.mark.parametrize("language", SERVERS)
def test_a_failure_is_tried_again_and_an_end_loses_nothing(examples: Examples, caller: Caller, language: str) -> None:
    """A handler that fails is answered with 500, each time; at SIGINT the subscriber ends, and is still registered."""
    subscriber = examples.subscriber(language, "full", stdout=Path("/dev/full"))
    assert [subscriber.post(b"{}", signed(b"{}", "full")) for _ in range(2)] == [500] * 2
    subscriber.program.send(signal.SIGINT)
    assert subscriber.program.ended() == 0, subscriber.program.errors
    assert caller.subscriber(subscriber.address)["resume"]
    caller.deregister(subscriber.address)


@pytest.mark.parametrize("language", SERVERS)
def test_a_subscriber_that_restarts_misses_nothing(examples: Examples, caller: Caller, language: str) -> None:
    """What is published between a SIGTERM and the next start is delivered after it."""
    first = examples.subscriber(language, "restart")
    first.program.send(signal.SIGTERM)
    assert first.program.ended() == 0, first.program.errors
    body = json.dumps(unique())
    caller.call("POST", "/sendMessage?topic=restart", [], body.encode())
    again = examples.subscriber(language, "restart", port=first.port)
    again.wait_for(body)
    again.program.send(signal.SIGTERM)
    assert again.program.ended() == 0, again.program.errors
    caller.deregister(first.address)


@pytest.mark.parametrize("language", SERVERS)
def test_a_wrong_secret_stops_the_start(examples: Examples, language: str) -> None:
    """With a secret that is none, no subscriber starts: it could not check a signature."""
    wrong = ["whsec_", "whsec_AAAA", OLD.removeprefix("whsec_"), f"{OLD},whsec_?"]
    for program in [examples.with_secrets(language, secrets) for secrets in wrong]:
        assert program.ended() == 1
        assert "EVENTBUS_SIGNING_SECRETS" in program.errors
        assert OLD.removeprefix("whsec_") not in program.errors
