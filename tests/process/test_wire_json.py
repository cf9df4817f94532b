"""The same routes for clients that ask for ``application/json``."""

import re
from datetime import datetime

import pytest

from tests.support.answers import TEXT, UUID_V7, assert_problem
from tests.support.caller import JSON, Caller
from tests.support.limits import MAX_BODY_BYTES

#: Spare addresses: nothing is published that they would get.
FIRST, SECOND = "127.0.0.1:9", "127.0.0.1:10"
#: Used by no other test: what is counted for an address outlives its lease.
UNKNOWN = "127.0.0.1:19"
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
SUBSCRIBER_FIELDS = {
    "address",
    "registered_at",
    "renewed_at",
    "expires_at",
    "renew_after",
    "topics",
    "lease",
    "max_in_flight",
    "timeout",
    "ordered",
    "resume",
    "state",
    "backlog",
    "in_flight",
    "oldest_pending_seconds",
    "delivered",
    "failed_attempts",
    "dead",
    "last_error",
}


def test_registering_tells_all_about_the_subscriber(caller: Caller) -> None:
    """The JSON answer to a registration tells the lease, the options and how the subscriber is doing."""
    response = caller.call("POST", f"/registerAndKeepAlive?address={UNKNOWN}", [JSON])
    answer = response.json()
    assert (response.status, response.header("Content-Type")) == (200, "application/json")
    assert answer.keys() >= SUBSCRIBER_FIELDS | {"created"}
    assert (answer["address"], answer["state"], answer["topics"]) == (UNKNOWN, "new", [])
    counts = ("backlog", "in_flight", "delivered", "failed_attempts", "dead")
    assert {answer[name] for name in counts} == {0}


def test_times_are_rfc3339_and_a_lease_apart(caller: Caller) -> None:
    """The times of a lease are RFC 3339, and its end is its last renewal and its length."""
    answer = caller.register(FIRST, lease=300)
    times = [answer[name] for name in ("registered_at", "renewed_at", "expires_at")]
    assert all(RFC3339.fullmatch(time) for time in times)
    registered, renewed, expires = [datetime.fromisoformat(time) for time in times]
    assert registered == renewed
    assert abs((expires - renewed).total_seconds() - 300) <= 1  # each is cut to whole seconds


def test_the_list_holds_the_same_objects(caller: Caller) -> None:
    """The list as JSON is an object of subscribers, each with the fields that registering answers."""
    caller.register(FIRST)
    caller.register(SECOND, lease=60)
    response = caller.call("GET", "/listSubscribers", [JSON])
    found = response.json()["subscribers"]
    assert response.header("Content-Type") == "application/json"
    assert [subscriber["address"] for subscriber in found] == [SECOND, FIRST]
    assert all(subscriber.keys() >= SUBSCRIBER_FIELDS for subscriber in found)


def test_a_long_list_comes_whole(caller: Caller) -> None:
    """With many subscribers the list as JSON is sent in pieces, as chunks; as text it has a length."""
    topics = [f"{'x' * 200}.{number}" for number in range(15)]
    addresses = [f"127.0.0.1:{number}" for number in range(10_001, 10_041)]
    for address in addresses:
        caller.register(address, topic=topics)
    response = caller.call("GET", "/listSubscribers", [JSON])
    assert (response.header("Transfer-Encoding"), response.header("Content-Length")) == ("chunked", None)
    found = response.json()["subscribers"]
    assert [subscriber["address"] for subscriber in found] == addresses
    assert all(len(subscriber["topics"]) == len(topics) for subscriber in found)
    response = caller.call("GET", "/listSubscribers")
    assert response.header("Content-Length") == str(len(response.body))
    assert len(response.body.splitlines()) == len(addresses)


def test_an_empty_list_is_an_empty_array(caller: Caller) -> None:
    """With no subscriber the JSON list is empty."""
    assert caller.call("GET", "/listSubscribers", [JSON]).json() == {"subscribers": [], "groups": []}


def test_deregistering_answers_an_object(caller: Caller) -> None:
    """Deregistering answers a JSON object as well, which tells how many deliveries were pending and are discarded."""
    caller.register(FIRST)
    for _ in range(3):
        caller.call("POST", "/sendMessage", [], b"x")
    for discarded in (3, 0):
        response = caller.call("DELETE", f"/deregister?address={FIRST}", [JSON])
        assert (response.status, response.header("Content-Type")) == (200, "application/json")
        assert response.json() == {"address": FIRST, "path": None, "discarded": discarded}


def test_publishing_tells_the_id_and_who_gets_it(caller: Caller) -> None:
    """The JSON answer to a publish has the event's id, to how many it goes, and that it is no duplicate."""
    caller.register(FIRST, topic="orders.*")
    response = caller.call("POST", "/sendMessage?topic=orders.created", [JSON], b"{}")
    elsewhere = caller.call("POST", "/sendMessage?topic=stock", [JSON], b"{}")
    answer = response.json()
    assert response.header("Content-Type") == "application/json"
    assert UUID_V7.fullmatch(answer["id"])
    assert response.header("Webhook-Id") == answer["id"]
    assert (answer["subscribers"], answer["duplicate"]) == (1, False)
    assert elsewhere.json()["subscribers"] == 0


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/registerAndKeepAlive", "POST"),
        ("/deregister", "DELETE"),
        ("/sendMessage", "POST"),
        ("/listSubscribers", "GET"),
    ],
)
def test_a_wrong_method_is_a_problem(caller: Caller, path: str, right: str) -> None:
    """A wrong method is a problem with the same status, sentence and ``Allow``."""
    response = caller.call("PUT", path, [JSON])
    assert f"Only {right} accepted" in assert_problem(response, 400)["detail"]
    assert response.header("Allow") == right


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "Wrong input address."),
        ("?address=%zz", 'invalid URL escape "%zz"'),
        ("?address=a;b", "invalid semicolon separator in query"),
        ("?address=127.0.0.1:0", "Wrong input address. "),
        (f"?address={FIRST}&lease=1", "lease"),
    ],
)
def test_a_wrong_query_is_a_problem(caller: Caller, query: str, detail: str) -> None:
    """What is wrong in a query is said in the problem's ``detail``."""
    response = caller.call("POST", f"/registerAndKeepAlive{query}", [JSON])
    assert detail in assert_problem(response, 400)["detail"]


def test_an_event_too_large_is_a_problem(caller: Caller) -> None:
    """A body over the limit is a problem with status 413."""
    assert_problem(caller.call("POST", "/sendMessage", [JSON], b"x" * (MAX_BODY_BYTES + 1)), 413)


def test_an_unknown_path_is_a_problem(caller: Caller) -> None:
    """What is not there is a problem with status 404."""
    assert_problem(caller.call("GET", "/nowhere", [JSON]), 404)


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "text/html", "application/xml", "nonsense"])
def test_only_json_is_answered_as_json(caller: Caller, accept: str) -> None:
    """Who does not ask for JSON gets text."""
    response = caller.call("POST", "/sendMessage", [("Accept", accept)], b"{}")
    assert (response.header("Content-Type"), response.body) == (TEXT, b"success")


def test_an_address_that_ends_in_event_is_warned_of(caller: Caller) -> None:
    """An address to which the bus adds another ``/event`` is registered, and the answer says where events go."""
    (warning,) = caller.register("127.0.0.1:9/shop/event/")["warnings"]
    assert "http://127.0.0.1:9/shop/event/event" in warning
    assert [caller.register(f"127.0.0.1:9{path}")["warnings"] for path in ("", "/events", "/event/x")] == [[]] * 3


def test_a_misspelt_parameter_publishes_nothing(caller: Caller) -> None:
    """Who asks for JSON is told which parameter there is not, and which was probably meant; others by a header."""
    problem = assert_problem(caller.call("POST", "/sendMessage?topc=a.b", [JSON], b"{}"), 400)
    assert "'topc' is no parameter of /sendMessage; did you mean topic?" in problem["detail"]
    plain = caller.call("POST", "/sendMessage?topc=a.b", (), b"{}")
    assert (plain.status, plain.text, plain.header("Eventbus-Ignored")) == (200, "success", "topc")
