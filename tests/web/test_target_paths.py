"""An address with a target path is a subscription of its own: every request names it by both."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Message, Terms
from eventbus.core.tokens import Tokens
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

HOST = "127.0.0.1:8001"
PATH = "/hooks/x?y=z&a=%20"
KEY = f"{HOST}?path={PATH}"
NAMED = f"address={HOST}&path={quote(PATH, safe='')}"
JSON, HTML = {"Accept": "application/json"}, {"Accept": "text/html"}
EVENT = Message("e-1", "orders", b"", b"{}", 1_795_476_715.0)
#: Requests that name a subscription, without its name.
ABOUT_ONE = [
    ("DELETE", "/deregister?"),
    ("POST", "/replay?from=earliest&"),
    ("GET", "/deadLetters?"),
    ("POST", "/deadLetters/replay?"),
    ("DELETE", "/deadLetters?"),
    ("GET", "/dashboard/subscriber?"),
]


@pytest.fixture
def here() -> Iterator[InProcessNode]:
    """A bus with two subscriptions of one address; each has refused an event."""
    with in_process_nodes("here") as (node,):
        fill(node)
        yield node


def fill(node: InProcessNode) -> None:
    """Register the address with the path, and without one, and publish an event that both refuse."""
    for named in (f"address={HOST}", NAMED):
        assert node.ask("POST", f"/registerAndKeepAlive?{named}").text == "success"
    node.bus.publish([EVENT])
    eventually(lambda: all(lane.dead for lane in node.bus.subscribers()), 20)
    node.bus.dispatcher.checkpointer.save()


def subscribers(node: InProcessNode) -> list[tuple[str, str | None]]:
    """The addresses and paths in the list."""
    return [(one["address"], one["path"]) for one in node.ask("GET", "/listSubscribers", JSON).json["subscribers"]]


def test_an_address_with_a_path_is_a_subscription_of_its_own(here: InProcessNode) -> None:
    """Both are listed, as JSON and as lines, and each gets every event."""
    assert subscribers(here) == [(HOST, None), (HOST, PATH)]
    names = [line.partition("  :  ")[0] for line in here.ask("GET", "/listSubscribers").text.splitlines()]
    assert names == [HOST, KEY]
    deliveries = here.ask("GET", "/events/e-1", JSON).json["deliveries"]
    assert [(one["address"], one["path"], one["group"], one["state"]) for one in deliveries] == [
        (HOST, None, None, "dead"), (HOST, PATH, None, "dead"),
    ]  # fmt: skip


def test_a_renewal_names_the_path_again(here: InProcessNode) -> None:
    """A renewal with the path changes that subscription alone."""
    renewed = here.ask("POST", f"/registerAndKeepAlive?{NAMED}&timeout=3", JSON).json
    assert (renewed["created"], renewed["address"], renewed["path"]) == (False, HOST, PATH)
    assert [lane.subscriber.options.timeout for lane in here.bus.subscribers()] == [10, 3]


def test_deregistering_ends_the_one_that_is_named(here: InProcessNode) -> None:
    """The other subscription of the address goes on."""
    said = here.ask("DELETE", f"/deregister?{NAMED}", JSON).json
    assert said == {"address": HOST, "path": PATH, "discarded": 0}
    assert subscribers(here) == [(HOST, None)]


def test_dead_letters_are_the_named_ones(here: InProcessNode) -> None:
    """They are read, put back and discarded by address and path, and say both."""
    for named, path in ((f"address={HOST}", None), (NAMED, PATH)):
        (letter,) = here.ask("GET", f"/deadLetters?{named}").json["dead_letters"]
        assert (letter["subscriber"], letter["path"], letter["group"]) == (HOST, path, None)
    assert here.ask("POST", f"/deadLetters/replay?{NAMED}").json["replayed"] == 1
    eventually(lambda: here.bus.dispatcher.lanes[KEY].dead == 1, 20)
    assert here.ask("DELETE", f"/deadLetters?{NAMED}").json == {"discarded": 1}
    assert [one["path"] for one in here.ask("GET", "/deadLetters").json["dead_letters"]] == [None]


def test_a_replay_is_for_the_named_one(here: InProcessNode) -> None:
    """The journal is delivered again to one subscription of the address."""
    assert here.ask("POST", f"/replay?from=earliest&{NAMED}").json == {"events": 1}
    assert [lane.accepted for lane in here.bus.subscribers()] == [1, 2]


def test_a_member_may_have_a_path(here: InProcessNode) -> None:
    """Members of a group are known by address and path; who is one is no subscription of its own."""
    member = f"/registerAndKeepAlive?address=127.0.0.1:8002&path={quote('/m')}"
    assert here.ask("POST", f"{member}&group=mailer", JSON).json["path"] == "/m"
    (group,) = here.ask("GET", "/listSubscribers", JSON).json["groups"]
    assert "path" not in group
    assert [(one["address"], one["path"]) for one in group["members"]] == [("127.0.0.1:8002", "/m")]
    refused = here.ask("POST", member, JSON)
    assert (refused.status_code, refused.json["detail"].partition(" is ")[0]) == (409, "127.0.0.1:8002?path=/m")
    assert here.ask("POST", "/registerAndKeepAlive?address=127.0.0.1:8002").text == "success"
    assert here.ask("DELETE", f"/deregister?address=127.0.0.1:8002&path={quote('/m')}").text == "success"
    assert here.ask("GET", "/listSubscribers", JSON).json["groups"] == []


@pytest.mark.parametrize(("method", "target"), ABOUT_ONE)
def test_a_path_without_an_address_names_nothing(here: InProcessNode, method: str, target: str) -> None:
    """It is refused, so that a forgotten address never selects a group, or everything."""
    for more in ("", "&group=mailer", "&all=true"):
        answer = here.ask(method, f"{target}path=/hooks{more}", JSON)
        assert answer.status_code == 400, answer.text
        assert more == "&all=true" or "path belongs to an address" in answer.json["detail"]


@pytest.mark.parametrize(("method", "target"), [("POST", "/registerAndKeepAlive?"), *ABOUT_ONE])
def test_a_wrong_path_is_refused_everywhere(here: InProcessNode, method: str, target: str) -> None:
    """An error says what is wrong in it; a plus in a query is a space."""
    answer = here.ask(method, f"{target}address={HOST}&path=/a+b", JSON)
    assert (answer.status_code, "must not contain ' '" in answer.json["detail"]) == (400, True)
    assert "must begin with /" in here.ask(method, f"{target}address={HOST}&path=", JSON).json["detail"]


def test_an_address_that_ends_in_event_is_hinted_at(here: InProcessNode) -> None:
    """The answer says where deliveries go, and how they go to the address itself; with a path there is no hint."""
    (hint,) = here.ask("POST", "/registerAndKeepAlive?address=Shop.example/api/event/", JSON).json["warnings"]
    assert hint == (
        "Deliveries go to http://shop.example/api/event/event: the bus adds /event to an address. To get them there "
        "without it, say address=shop.example&path=/api/event."
    )
    assert here.ask("POST", f"/registerAndKeepAlive?address={HOST}&path=/event", JSON).json["warnings"] == []


@pytest.mark.parametrize("group", ["", "&group=mailer"])
def test_dead_events_that_come_back_are_warned_of(
    here: InProcessNode, caplog: pytest.LogCaptureFixture, group: str
) -> None:
    """Where ``dead_to`` matches the subscription's own topics, JSON says so each time, and the log once."""
    query = f"/registerAndKeepAlive?address=127.0.0.1:8009{group}&dead_to=orders.dead&topic="
    warning = "dead_to=orders.dead matches its own topics: the event of each of its dead letters comes to it again."
    for topic, expected in (("orders.*", [warning]), ("orders.*", [warning]), ("orders.created", []), ("", [warning])):
        assert here.ask("POST", f"{query}{topic}", JSON).json["warnings"] == expected
    logged = [record for record in caplog.records if warning in record.getMessage()]
    assert [record.levelname for record in logged] == ["WARNING"] * 2
    both = here.ask("POST", "/registerAndKeepAlive?address=shop.example/api&path=/event")
    assert (both.status_code, "no path of its own" in both.text) == (400, True)


def test_the_dashboards_links_and_buttons_name_the_path(here: InProcessNode) -> None:
    """Each page shows the path, and what it asks for names address and path."""
    named = f"address={quote(HOST)}&amp;path={quote(PATH)}"
    for page in ("subscribers", "deadLetters", "event?id=e-1"):
        text = here.ask("GET", f"/dashboard/{page}", HTML).text
        assert f'dashboard/subscriber?{named}"' in text, page
        assert PATH.replace("&", "&amp;") in text, page
    page = here.ask("GET", f"/dashboard/subscriber?{NAMED}", HTML).text
    assert f'data-act="deregister" data-subject="{named}"' in page
    letters = here.ask("GET", f"/dashboard/deadLetters?{NAMED}", HTML).text
    assert f'data-act="redeliver-all" data-subject="{named}"' in letters
    assert letters.count("data-letter=") == 1
    empty = here.ask("GET", "/dashboard/deadLetters?address=&path=", HTML).text
    assert empty.count("data-letter=") == 2


# Several nodes


@pytest.fixture
def two() -> Iterator[tuple[InProcessNode, InProcessNode]]:
    """Two nodes; the second has both subscriptions, and the first knows it."""
    with in_process_nodes("here", "there", tokens=Tokens()) as (first, second):
        fill(second)
        first.owners |= {HOST: "there", KEY: "there"}
        yield first, second


@pytest.mark.parametrize(("method", "target"), [("POST", "/registerAndKeepAlive?"), *ABOUT_ONE])
def test_the_node_that_has_the_subscription_answers(
    two: tuple[InProcessNode, InProcessNode], method: str, target: str
) -> None:
    """A request with a path is passed on by address and path, and so unchanged that the other node finds it."""
    first, _ = two
    assert first.ask(method, f"{target}{NAMED}", JSON).status_code == 200
    assert first.asked == ["there"]


def test_lists_of_all_nodes_have_each_path_once(two: tuple[InProcessNode, InProcessNode]) -> None:
    """Subscriptions of one address on several nodes are different lines, and different deliveries of an event."""
    first, _ = two
    first.bus.register(parse_address(HOST).with_target("/other"), Terms())
    wanted: list[Any] = [(HOST, None), (HOST, PATH), (HOST, "/other")]
    assert subscribers(first) == wanted
    names = [line.partition("  :  ")[0] for line in first.ask("GET", "/listSubscribers").text.splitlines()]
    assert names == [HOST, KEY, f"{HOST}?path=/other"]
    first.bus.publish([EVENT])
    eventually(lambda: first.bus.subscribers()[0].dead, 20)
    deliveries = first.ask("GET", "/events/e-1", JSON).json["deliveries"]
    assert [(one["address"], one["path"]) for one in deliveries] == wanted
