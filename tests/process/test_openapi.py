"""The OpenAPI document against the bus that serves it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from eventbus.web.openapi.builder import AN_ADDRESS, AN_ID, BUS
from eventbus.web.openapi.document import document
from tests.support.accounts import settled
from tests.support.batches import STRUCTURED, array, cloud_event, publish_cloud_events, written
from tests.support.caller import JSON, Caller
from tests.support.cluster import cluster_on
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

DOCUMENT = document()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
#: An address on which nobody listens.
NOBODY = "127.0.0.1:9"
#: How to ask for each example of an error, with nobody registered and no dead letters.
MISTAKES = [
    ("POST", "/registerAndKeepAlive", "address=localhost:80a", 400),
    ("POST", "/registerAndKeepAlive", f"address={NOBODY}&from=order-42", 404),
    ("DELETE", "/deregister", "address=localhost:80a", 400),
    ("GET", "/listSubscribers", "a=%zz", 400),
    ("POST", "/sendMessage", "", 400),
    ("GET", "/events", "limit=0", 400),
    ("DELETE", "/events/order-42", "", 404),
    ("POST", "/cancel", "", 400),
    ("POST", "/cancel", "id=order-42", 404),
    ("POST", "/replay", f"address={NOBODY}", 400),
    ("POST", "/replay", f"address={NOBODY}&from=earliest", 409),
    ("GET", "/attempts", "limit=0", 400),
    ("GET", "/deadLetters", "limit=0", 400),
    ("DELETE", "/deadLetters", "", 400),
    ("DELETE", "/deadLetters", "id=1", 404),
    ("POST", "/deadLetters/replay", "", 400),
    ("POST", "/deadLetters/replay", "id=1", 404),
    ("POST", "/deadLetters/replay", f"address={NOBODY}", 409),
]
#: What is asked for as JSON, and as text: of the latter nothing can be followed up.
PHASES = [
    ("application/json", "examples,coverage,fuzzing,stateful"),
    pytest.param("text/plain", "coverage", marks=pytest.mark.soak),
]
#: What a schema cannot say is left out where it matters: that of three parameters exactly one is given, that with
#: ``scheduled`` two others are not, that a body's Content-Type means nothing beside ``batch=lines``, and that a
#: CloudEvent's 1.0 is no whole number.
CONFIGURATION = f"""\
continue-on-failure = true
checks.unsupported_method.enabled = false  # the four routes answer 400, as their contract says
checks.negative_data_rejection.expected-statuses = [400, 404, 405, 413, 414]

[parameters]
"query.address" = "{NOBODY}"
"query.group" = "mailer"  # an address is in one group; another one is 409, in plain text 400
"query.wait" = 0
"query.scheduled" = "false"  # with true there is no topic and no wait
"query.backoff" = "0.5,60"  # the second is not below the first
"query.settle" = 0.1
"query.filter" = '{{"exact":{{"key":"a"}}}}'  # JSON in a text

[[operations]]
include-operation-id = ["discardDeadLetters", "listEvents", "pause", "replayDeadLetters", "sendMessage"]
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = ["sendMessage"]
checks.negative_data_rejection.enabled = false
"""


@pytest.fixture(scope="module")
def own_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus on which nobody is registered, and nothing is dead."""
    with BusServer(tmp_path_factory.mktemp("openapi")) as server:
        yield server


@pytest.fixture
def caller(own_bus: BusServer) -> Caller:
    """Calls that bus."""
    return Caller(own_bus.port)


@pytest.fixture
def schemathesis() -> str:
    """The command; a machine without it skips."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which("schemathesis", path=places)
    return found or pytest.skip("schemathesis is not installed")


def body_of(path: str) -> bytes | None:
    """A CloudEvent that lacks what the example of an error names."""
    return b'{"id": "1", "specversion": "1.0", "type": "a"}' if path == "/sendMessage" else None


def content_of(found: dict[str, Any]) -> dict[str, Any]:
    """An answer's contents, with its reference followed."""
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return dict(found["content"])


def properties(name: str) -> set[str]:
    """The properties of a shape in the document."""
    return set(DOCUMENT["components"]["schemas"][name]["properties"])


def bounded() -> Iterator[tuple[str, str, str, Any, bool]]:
    """Method, path and name of every parameter with bounds, with values at and beyond them, and which are taken."""
    for method, path, operation in OPERATIONS:
        for parameter in operation.get("parameters", ()):
            if "minimum" in parameter["schema"]:
                low, high = parameter["schema"]["minimum"], parameter["schema"]["maximum"]
                values = {low: True, high: True, round(low - 0.05, 2): False, high + 1: False}
                yield from ((method, path, parameter["name"], value, taken) for value, taken in values.items())


def test_the_bus_serves_the_document(caller: Caller) -> None:
    """``/openapi.json`` is the document, as JSON."""
    answer = caller.call("GET", "/openapi.json")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert answer.json() == DOCUMENT


def test_the_document_is_open_where_tokens_are_set(tmp_path: Path) -> None:
    """Document, page and style sheet ask for no token: who has one has to read how to send it."""
    with BusServer(tmp_path, {"EVENTBUS_ADMIN_TOKENS": "admin-0123456789"}) as closed:
        caller = Caller(closed.port)
        paths = ("/openapi.json", "/docs", "/static/reference.css", "/events")
        assert [caller.call("GET", path).status for path in paths] == [200, 200, 200, 401]


@pytest.mark.parametrize(("method", "path", "query", "status"), MISTAKES)
def test_an_error_is_as_in_its_example(caller: Caller, method: str, path: str, query: str, status: int) -> None:
    """Each example of an error is what the bus answers, to the word."""
    kind = ("Content-Type", "application/cloudevents+json")
    answer = caller.call(method, f"{path}?{query}", [JSON, kind], body_of(path))
    documented_path = path.replace("/order-42", "/{event_id}")
    documented = content_of(DOCUMENT["paths"][documented_path][method.lower()]["responses"][str(status)])
    assert answer.status == status, answer.text
    assert answer.header("Content-Type") in documented
    if (path, status) != ("/deadLetters/replay", 404):
        assert answer.json() == documented["application/problem+json"]["example"]


@pytest.mark.parametrize(("method", "path", "name", "value", "taken"), list(bounded()))
def test_a_bound_is_the_one_that_the_bus_keeps(
    caller: Caller, method: str, path: str, name: str, value: Any, taken: bool
) -> None:
    """A number at a bound is taken, one beyond it is refused with a sentence that names the parameter."""
    caller.publish()  # so that nothing waits
    others = {"address": NOBODY} if path == "/registerAndKeepAlive" else {}
    answer = caller.call(method, f"{path}?{urlencode({**others, name: value})}")
    caller.deregister(NOBODY)
    assert (answer.status == 400) == (not taken), answer.text
    assert taken or answer.text.startswith(("Error:" + name, "Error: " + name))


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=lambda value: str(value)[:24])
def test_a_call_in_the_document_works(caller: Caller, method: str, path: str, operation: dict[str, Any]) -> None:
    """Each command line of the document is answered 200, with a content that the document names."""
    (sample,) = operation["x-codeSamples"]
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address)
        if path == "/skip":  # else it is delivered before
            caller.call("POST", f"/pause?address={subscriber.address}")
        later = "&delay=3600" if operation["operationId"].startswith("cancelEvent") else ""
        event = caller.publish(topic=f"orders.created{later}")
        command = sample["source"].replace(BUS, f"http://127.0.0.1:{caller.port}")
        named = replay_of(caller) if "/replays/" in path else event
        command = command.replace(AN_ADDRESS, subscriber.address).replace(AN_ID, named)
        documented = [*shlex.split(command), "-sS", "-o", os.devnull, "-w", "%{http_code} %{method} %{content_type}"]
        done = subprocess.run(documented, capture_output=True, check=True, timeout=30, text=True)
        caller.deregister(subscriber.address)
    status, used, kind = done.stdout.split(" ", 2)
    assert (status, used) == ("200", method)
    assert kind.partition(";")[0] in operation["responses"]["200"]["content"]
    assert path.partition("{")[0] in sample["source"]


def replay_of(caller: Caller) -> str:
    """The id of a replay of one dead letter, which nobody has any more."""
    with RecordingSubscriber(always(422)) as subscriber:
        caller.register(subscriber.address)
        caller.publish()
        found = eventually(lambda: put_back(caller, subscriber.address), 20)
        caller.deregister(subscriber.address)
    caller.call("DELETE", "/deadLetters?all=true")
    return found


def put_back(caller: Caller, address: str) -> str:
    """Put back a subscriber's dead letters; the replay's id, empty where there were none yet."""
    return caller.call("POST", f"/deadLetters/replay?address={address}").json()["replay"] or ""


@NEEDS_REDIS
def test_a_response_of_two_nodes_has_the_documented_header(tmp_path: Path) -> None:
    """In a cluster, the responses that are about both nodes have the header, as the document describes it."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2) as cluster:
        caller = cluster.callers()[0]
        event = caller.publish()
        targets = [(method, path.replace("{event_id}", event), operation) for method, path, operation in OPERATIONS]
        for method, path, operation in targets:
            documented = operation["responses"]["200"].get("headers", {}).get("Eventbus-Nodes")
            if documented is not None:
                found = caller.call(method, f"{path}?all=true").header("Eventbus-Nodes") or ""
                assert (re.fullmatch(documented["schema"]["pattern"], found) is not None, found) == (True, "2 of 2"), (
                    path
                )


def test_shapes_have_what_the_bus_answers(own_bus: BusServer, caller: Caller) -> None:
    """A subscriber, an event, a dead letter and what publishing answers have the documented properties."""
    with RecordingSubscriber(always(422, b"no such customer")) as subscriber:
        assert caller.register(subscriber.address).keys() == properties("Registration")
        assert caller.call("POST", "/sendMessage?delay=0", [JSON], b"1").json().keys() == properties("Accepted")
        batch = caller.call("POST", "/sendMessage?batch=lines&delay=0", [JSON], b"1\n2")
        assert batch.json().keys() == properties("AcceptedBatch")
        event = written(cloud_event(type="a..b"))
        at_once = {"scheduled_for"}
        accepted = publish_cloud_events(caller, event, STRUCTURED).json()
        assert accepted.keys() == properties("AcceptedCloudEvent") - at_once
        batch = publish_cloud_events(caller, array([event]))
        assert batch.json().keys() == properties("AcceptedCloudEvents") - at_once
        eventually(settled(caller, subscriber.address, dead=5), 30)
        assert caller.subscriber(subscriber.address).keys() == properties("Subscriber")
        (letter, *_) = RepairClient(own_bus.port).dead_letters(address=subscriber.address)
        assert letter.keys() == properties("DeadLetter")
        event = caller.call("GET", f"/events/{letter['event']}").json()
        assert event.keys() == properties("EventWithDeliveries") - {"scheduled_for"}
        caller.call("POST", "/sendMessage?delay=60", [JSON], b"1")
        (waiting, *_) = caller.call("GET", "/events?scheduled=true").json()["events"]
        assert waiting.keys() == properties("ScheduledEvent")
        assert caller.call("DELETE", f"/events/{waiting['id']}").status == 200
        (delivery,) = event["deliveries"]
        assert delivery.keys() <= properties("Delivery")
        assert (delivery["address"], delivery["state"], delivery["attempts"]) == (subscriber.address, "dead", 1)
        caller.deregister(subscriber.address)


@pytest.mark.parametrize(("accept", "phases"), PHASES)
def test_made_up_requests_are_answered_as_documented(
    schemathesis: str, tmp_path: Path, accept: str, phases: str
) -> None:
    """Hundreds of requests by and against the document are answered with a status, content and shape that it has."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with BusServer(tmp_path) as bus:
        location = f"http://127.0.0.1:{bus.port}/openapi.json"
        options = [
            "--phases",
            phases,
            "--seed",
            "8",
            "-n",
            "10",
            "-H",
            f"Accept: {accept}",
            "--request-timeout",
            "20",
            "--no-color",
        ]
        command = [schemathesis, "run", location, "--url", f"http://127.0.0.1:{bus.port}", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=300, text=True)
        assert done.returncode == 0, done.stdout[-20_000:]
        assert "a request failed" not in bus.log_text()
