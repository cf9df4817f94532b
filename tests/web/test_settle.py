"""``settle`` over HTTP: what is answered to whom, and what is refused before anything is kept."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Terms
from eventbus.core.settings import from_environment
from eventbus.core.tokens import Tokens
from eventbus.services import settling
from eventbus.web.cluster.fates import FATES_PATH
from eventbus.web.settle import STATES
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

JSON = {"Accept": "application/json"}
ADDRESS = "127.0.0.1:8001"
PUBLISH, SUBSCRIBE, BOTH = "publish-token-1234", "subscribe-token-1234", "publish-and-subscribe-1234"


def tokens() -> Tokens:
    """One that may publish, one that may subscribe, and one that may do both."""
    return from_environment(
        {
            "EVENTBUS_PUBLISH_TOKENS": f"{PUBLISH},{BOTH}",
            "EVENTBUS_SUBSCRIBE_TOKENS": f"{SUBSCRIBE},{BOTH}",
        }
    ).tokens


@pytest.fixture
def node() -> Iterator[InProcessNode]:
    """A bus whose only subscriber rejects everything."""
    with in_process_nodes("here") as (found,):
        found.bus.register(parse_address(ADDRESS), Terms())
        yield found


def publish(node: InProcessNode, query: str, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Any:
    """Publish an event."""
    return node.ask("POST", f"/sendMessage?{query}", headers, body)


def test_the_answer_is_json_whatever_is_asked_for(node: InProcessNode) -> None:
    """A client that asks for plain text gets the fate, too, and the event's id in a header."""
    answer = publish(node, "settle=5")
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert answer.json == {
        "id": answer.headers["Webhook-Id"],
        "subscribers": 1,
        "duplicate": False,
        "pending": 0,
        "dead": 1,
        "discarded": 0,
        "filtered": 0,
        "delivered": 0,
        "subscriptions": [
            {"address": ADDRESS, "path": None, "group": None, "state": "dead", "status": 400, "attempts": 1}
        ],
        "more": 0,
    }


def test_a_cloud_event_has_its_topic_beside_its_fate(node: InProcessNode) -> None:
    """As without ``settle``."""
    answer = publish(node, "settle=5", {"ce-type": "orders.created", "ce-id": "1"})
    assert (answer.json["topic"], answer.json["dead"]) == ("orders.created", 1)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("settle=0", "settle must be a number from 0.1 to 60, not '0'."),
        ("settle=5&batch=lines", "settle applies to a single event"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(node: InProcessNode, query: str, sentence: str) -> None:
    """As text, and as problem details; nothing is kept."""
    plain, problem = publish(node, query), publish(node, query, JSON)
    assert plain.status_code == problem.status_code == 400
    assert plain.text.startswith(f"Error:{sentence}")
    assert problem.json["detail"].startswith(sentence)
    assert node.ask("GET", "/events", JSON).json["events"] == []


@pytest.mark.parametrize("given", ["delay=1", "deliver_at=2026-11-24T06:03:29Z"])
def test_what_is_delayed_is_not_waited_for(node: InProcessNode, given: str) -> None:
    """Both together are refused, and nothing is kept."""
    answer = publish(node, f"settle=5&{given}")
    assert answer.status_code == publish(node, f"settle=5&{given}", JSON).status_code == 400
    assert answer.text.startswith(f"Error:settle and {given.partition('=')[0]} contradict each other")
    assert node.ask("GET", "/events", JSON).json["events"] == []


def test_one_publish_too_many_is_refused_before_it_is_kept(
    node: InProcessNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says when to try again; a publish that does not wait is taken."""
    monkeypatch.setattr(settling, "MAX_WAITING", 0)
    for headers in ({}, JSON):
        answer = publish(node, "settle=5", headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
        assert "nothing of this was kept" in answer.text
    assert node.ask("GET", "/events", JSON).json["events"] == []
    assert publish(node, "topic=a").status_code == 200
    assert node.bus.counters.refused["too_many_requests"] == 2


def test_a_bus_that_stops_refuses_before_anything_is_kept(node: InProcessNode) -> None:
    """As any publish."""
    node.bus.draining = True
    assert publish(node, "settle=5").status_code == 503
    assert node.bus.counters.settling == 0


@pytest.mark.parametrize(("token", "names"), [(PUBLISH, []), (BOTH, [ADDRESS])])
def test_names_are_for_who_may_list_subscribers(token: str, names: list[str]) -> None:
    """A token that may only publish gets the numbers."""
    with in_process_nodes("here", tokens=tokens()) as (node,):
        node.bus.register(parse_address(ADDRESS), Terms())
        answer = publish(node, "settle=5", {"Authorization": f"Bearer {token}"}).json
        assert (answer["dead"], [row["address"] for row in answer["subscriptions"]]) == (1, names)
        assert answer["more"] == 1 - len(names)
        assert publish(node, "settle=5", {"Authorization": f"Bearer {SUBSCRIBE}"}).status_code == 403


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_client_may_ask_what_nodes_ask_each_other(node: InProcessNode, method: str) -> None:
    """There is no such path."""
    assert node.ask(method, f"{FATES_PATH}?id=1&settle=1").status_code == 404


def test_a_node_that_does_not_know_the_event_leaves_it_to_the_time() -> None:
    """Of two nodes with journals of their own the other one never has it: the publish is answered all the same."""
    with in_process_nodes("here", "there") as (here, _):
        here.bus.register(parse_address(ADDRESS), Terms())
        answer = publish(here, "settle=0.3")
        assert (answer.status_code, answer.json["dead"]) == (200, 1)
        assert here.asked.count("there") >= 2


def test_the_event_of_a_key_that_is_scheduled_is_pending(node: InProcessNode) -> None:
    """The answer says when it is due."""
    key = {"Idempotency-Key": "k"}
    first = publish(node, "delay=3600", {**key, **JSON}).json
    again = publish(node, "settle=0.2", key).json
    assert (again["id"], again["duplicate"], again["pending"], again["more"]) == (first["id"], True, 1, 1)
    assert again["scheduled_for"] == first["scheduled_for"]


@pytest.mark.parametrize("names", [("here",), ("here", "there")])
def test_nothing_is_pending_of_a_key_whose_event_was_cancelled(names: tuple[str, ...]) -> None:
    """It is answered without waiting, also where there are other nodes, with no subscription."""
    key = {"Idempotency-Key": "k"}
    with in_process_nodes(*names) as nodes:
        event_id = publish(nodes[0], "delay=3600", {**key, **JSON}).json["id"]
        assert nodes[0].ask("DELETE", f"/events/{event_id}").status_code == 200
        again = publish(nodes[0], "settle=60", key).json
        assert (again["id"], again["duplicate"]) == (event_id, True)
        assert [again[state] for state in (*STATES, "more")] == [0] * 6
        assert again["subscriptions"] == []
