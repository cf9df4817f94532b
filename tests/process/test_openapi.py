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
from tests.support.redis_server import COMMAND, RedisServer
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
    ("POST", "/replay", f"address={NOBODY}", 400),
    ("POST", "/replay", f"address={NOBODY}&from=earliest", 409),
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
#: What a schema cannot say is left out where it matters: that of three parameters exactly one is given, that a
#: body's Content-Type means nothing beside ``batch=lines``, and that a CloudEvent's 1.0 is no whole number.
CONFIGURATION = f"""\
continue-on-failure = true
checks.unsupported_method.enabled = false  # the four routes answer 400, as their contract says
checks.negative_data_rejection.expected-statuses = [400, 404, 405, 413, 414]

[parameters]
"query.address" = "{NOBODY}"
"query.wait" = 0

[[operations]]
include-operation-id = ["discardDeadLetters", "replayDeadLetters", "sendMessage"]
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
def ask(own_bus: BusServer) -> Caller:
    """Calls that bus."""
    return Caller(own_bus.port)


@pytest.fixture
def schemathesis() -> str:
    """The command; a machine without it skips."""
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which("schemathesis", path=places)
    return found or pytest.skip("schemathesis is not installed")


def body_of(path: str) -> bytes | None:
    """A CloudEvent that lacks what the example of an error says."""
    return b'{"id": "1", "specversion": "1.0", "type": "a"}' if path == "/sendMessage" else None


def content_of(found: dict[str, Any]) -> dict[str, Any]:
    """An answer's contents, with its reference followed."""
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return dict(found["content"])


def properties(name: str) -> set[str]:
    """What the document says that a shape has."""
    return set(DOCUMENT["components"]["schemas"][name]["properties"])


def bounded() -> Iterator[tuple[str, str, str, Any, bool]]:
    """Method, path and name of every parameter with bounds, with values at and beyond them, and which are taken."""
    for method, path, operation in OPERATIONS:
        for parameter in operation.get("parameters", ()):
            if "minimum" in parameter["schema"]:
                low, high = parameter["schema"]["minimum"], parameter["schema"]["maximum"]
                values = {low: True, high: True, round(low - 0.05, 2): False, high + 1: False}
                yield from ((method, path, parameter["name"], value, taken) for value, taken in values.items())


def test_the_bus_serves_the_document(ask: Caller) -> None:
    """``/openapi.json`` is the document, as JSON."""
    answer = ask.call("GET", "/openapi.json")
    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert answer.json() == DOCUMENT


def test_the_document_is_open_where_tokens_are_set(tmp_path: Path) -> None:
    """Document, page and style sheet ask for no token: who has one has to read how to send it."""
    with BusServer(tmp_path, {"EVENTBUS_ADMIN_TOKENS": "admin-0123456789"}) as closed:
        ask = Caller(closed.port)
        paths = ("/openapi.json", "/docs", "/static/reference.css", "/events")
        assert [ask.call("GET", path).status for path in paths] == [200, 200, 200, 401]


@pytest.mark.parametrize(("method", "path", "query", "status"), MISTAKES)
def test_an_error_is_as_in_its_example(ask: Caller, method: str, path: str, query: str, status: int) -> None:
    """Each example of an error is what the bus answers, to the word."""
    kind = ("Content-Type", "application/cloudevents+json")
    answer = ask.call(method, f"{path}?{query}", [JSON, kind], body_of(path))
    told = content_of(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])
    assert answer.status == status, answer.text
    assert answer.header("Content-Type") in told
    if (path, status) != ("/deadLetters/replay", 404):
        assert answer.json() == told["application/problem+json"]["example"]


@pytest.mark.parametrize(("method", "path", "name", "value", "taken"), list(bounded()))
def test_a_bound_is_the_one_that_the_bus_keeps(
    ask: Caller, method: str, path: str, name: str, value: Any, taken: bool
) -> None:
    """A number at a bound is taken, one beyond it is refused with a sentence that names the parameter."""
    ask.publish()  # so that nothing waits
    others = {"address": NOBODY} if path == "/registerAndKeepAlive" else {}
    answer = ask.call(method, f"{path}?{urlencode({**others, name: value})}")
    ask.deregister(NOBODY)
    assert (answer.status == 400) == (not taken), answer.text
    assert taken or answer.text.startswith(("Error:" + name, "Error: " + name))


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=lambda value: str(value)[:24])
def test_a_call_in_the_document_works(ask: Caller, method: str, path: str, operation: dict[str, Any]) -> None:
    """Each command line of the document is answered 200, with a content that the document names."""
    (sample,) = operation["x-codeSamples"]
    with RecordingSubscriber() as subscriber:
        ask.register(subscriber.address)
        event = ask.publish(topic="orders.created")
        command = sample["source"].replace(BUS, f"http://127.0.0.1:{ask.port}")
        named = replay_of(ask) if "/replays/" in path else event
        command = command.replace(AN_ADDRESS, subscriber.address).replace(AN_ID, named)
        told = [*shlex.split(command), "-sS", "-o", os.devnull, "-w", "%{http_code} %{method} %{content_type}"]
        done = subprocess.run(told, capture_output=True, check=True, timeout=30, text=True)
        ask.deregister(subscriber.address)
    status, used, kind = done.stdout.split(" ", 2)
    assert (status, used) == ("200", method)
    assert kind.partition(";")[0] in operation["responses"]["200"]["content"]
    assert path.partition("{")[0] in sample["source"]


def replay_of(ask: Caller) -> str:
    """The id of a replay of one dead letter, which nobody has any more."""
    with RecordingSubscriber(always(422)) as subscriber:
        ask.register(subscriber.address)
        ask.publish()
        said = eventually(lambda: put_back(ask, subscriber.address), 20)
        ask.deregister(subscriber.address)
    ask.call("DELETE", "/deadLetters?all=true")
    return said


def put_back(ask: Caller, address: str) -> str:
    """Put back a subscriber's dead letters; the replay's id, empty where there were none yet."""
    return ask.call("POST", f"/deadLetters/replay?address={address}").json()["replay"] or ""


@pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
def test_an_answer_of_two_buses_has_the_header_that_is_told(tmp_path: Path) -> None:
    """Where two buses are one, the answers that are about both say so, in the form that the document tells."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2) as cluster:
        ask = cluster.callers()[0]
        event = ask.publish()
        targets = [(method, path.replace("{event_id}", event), operation) for method, path, operation in OPERATIONS]
        for method, path, operation in targets:
            told = operation["responses"]["200"].get("headers", {}).get("Eventbus-Nodes")
            if told is not None:
                said = ask.call(method, f"{path}?all=true").header("Eventbus-Nodes") or ""
                assert (re.fullmatch(told["schema"]["pattern"], said) is not None, said) == (True, "2 of 2"), path


def test_shapes_have_what_the_bus_answers(own_bus: BusServer, ask: Caller) -> None:
    """A subscriber, an event, a dead letter and what publishing answers have the properties that are told."""
    with RecordingSubscriber(always(422, b"no such customer")) as subscriber:
        assert ask.register(subscriber.address).keys() == properties("Registration")
        assert ask.call("POST", "/sendMessage", [JSON], b"1").json().keys() == properties("Accepted")
        batch = ask.call("POST", "/sendMessage?batch=lines", [JSON], b"1\n2")
        assert batch.json().keys() == properties("AcceptedBatch")
        event = written(cloud_event(type="a..b"))
        assert publish_cloud_events(ask, event, STRUCTURED).json().keys() == properties("AcceptedCloudEvent")
        assert publish_cloud_events(ask, array([event])).json().keys() == properties("AcceptedCloudEvents")
        eventually(settled(ask, subscriber.address, dead=5), 30)
        assert ask.subscriber(subscriber.address).keys() == properties("Subscriber")
        (letter, *_) = RepairClient(own_bus.port).dead_letters(address=subscriber.address)
        assert letter.keys() == properties("DeadLetter")
        event = ask.call("GET", f"/events/{letter['event']}").json()
        assert event.keys() == properties("EventWithDeliveries")
        assert event["deliveries"] == [{"address": subscriber.address, "state": "dead"}]
        ask.deregister(subscriber.address)


@pytest.mark.parametrize(("accept", "phases"), PHASES)
def test_made_up_requests_are_answered_as_told(schemathesis: str, tmp_path: Path, accept: str, phases: str) -> None:
    """Hundreds of requests by and against the document are answered with a status, content and shape that it tells."""
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with BusServer(tmp_path) as bus:
        location = f"http://127.0.0.1:{bus.port}/openapi.json"
        options = [
            "--phases",
            phases,
            "--seed",
            "7",
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
