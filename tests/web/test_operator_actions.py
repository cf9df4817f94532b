"""What an operator asks for by a request: what is answered, refused and shown."""

import re
from collections.abc import Iterator

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import rfc3339
from eventbus.core.credentials import NO_CREDENTIALS, GivenCredentials
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

HERE, MEMBER = "127.0.0.1:8001", "127.0.0.1:8002"
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def node() -> Iterator[InProcessNode]:
    """A bus with a subscriber, and with a group of one member."""
    with in_process_nodes("here") as (here,):
        here.bus.register(parse_address(HERE), Terms(topics=("a",)))
        here.bus.register(parse_address(MEMBER), Terms(topics=("b",)), group="mailer")
        yield here


def publish(node: InProcessNode, topic: str) -> str:
    """Publish an event, and return its id."""
    message = Message(new_event_id(), topic, b"", b"{}", node.bus.clock.wall())
    return node.bus.publish([message]).ids[0]


def test_a_pause_is_shown_until_it_is_resumed(node: InProcessNode) -> None:
    """Who has paused, since when and until when, in JSON and on the page; the account goes on."""
    until = rfc3339(node.bus.clock.wall() + 3_600)
    answer = node.ask("POST", f"/pause?address={HERE}&until={until}", JSON)
    assert answer.json == {"address": HERE, "path": None, "group": None, "until": until}
    publish(node, "a")
    shown = node.ask("POST", f"/registerAndKeepAlive?address={HERE}", JSON).json
    assert (shown["state"], shown["pending"], shown["in_flight"]) == ("paused", 1, 0)
    since = shown["pause"]["since"]
    assert shown["pause"] == {"by": "operator", "client": "unknown", "since": since, "until": until}
    page = node.ask("GET", f"/dashboard/subscriber?address={HERE}", HTML).text
    assert "Paused by an operator (unknown)" in page
    assert node.ask("POST", f"/resume?address={HERE}", JSON).json == {
        "address": HERE,
        "path": None,
        "group": None,
        "resumed": True,
    }
    assert node.ask("POST", f"/resume?address={HERE}", JSON).json["resumed"] is False
    eventually(lambda: not node.bus.dispatcher.lanes[HERE].backlog, 20)


def test_a_member_is_paused_alone_by_its_address(node: InProcessNode) -> None:
    """The group by its name; each is resumed as it was paused."""
    assert node.ask("POST", f"/pause?address={MEMBER}", JSON).json == {
        "address": MEMBER, "path": None, "group": "mailer", "until": None,
    }  # fmt: skip
    listed = node.ask("GET", "/listSubscribers", JSON).json
    assert [each["pause"] is not None for each in listed["subscribers"]] == [False, True]
    (group,) = listed["groups"]
    assert (group["state"], group["pause"]) == ("paused", None)
    assert node.ask("POST", f"/pause?address={MEMBER}&group=mailer", JSON).json["address"] == MEMBER
    assert node.ask("POST", "/resume?group=mailer", JSON).json["resumed"] is False
    assert node.ask("POST", f"/resume?address={MEMBER}", JSON).json["resumed"] is True
    assert node.ask("POST", "/pause?group=mailer", JSON).json == {
        "address": None,
        "path": None,
        "group": "mailer",
        "until": None,
    }
    assert node.ask("GET", "/listSubscribers", JSON).json["groups"][0]["pause"]["by"] == "operator"


@pytest.mark.parametrize(
    ("target", "status", "detail"),
    [
        ("/pause?address=127.0.0.1:9", 409, "This address is not registered; register it, and pause then."),
        ("/resume?group=other", 409, "The group other has no members; register one, and resume then."),
        ("/retry?address=127.0.0.1:9", 409, "This address is not registered; register it, and retry then."),
        (f"/pause?address={HERE}&group=mailer", 409, "This address is not registered; register it, and pause then."),
        (f"/skip?address={HERE}", 400, "id is required: the event's."),
        (f"/skip?address={HERE}&id=x", 404, "Event 'x' is not in the journal."),
        ("/retry", 400, "Wrong input address."),
    ],
)
def test_what_cannot_be_done_is_refused(node: InProcessNode, target: str, status: int, detail: str) -> None:
    """With what is wrong, and what to do first."""
    answer = node.ask("POST", target, JSON)
    assert (answer.status_code, answer.json["detail"]) == (status, detail)


@pytest.mark.parametrize("then", ["pause?", "resume?", "retry?", "skip?id=x&", "replay?from=earliest&"])
def test_what_is_registered_at_an_address_with_another_path_is_named(node: InProcessNode, then: str) -> None:
    """Some paths, the start of a long one, and how many more there are; also where one without a path is meant."""
    address = "127.0.0.1:8003"
    paths = ("/a", f"/b/{'x' * 200}", "/c", "/d", "/e")
    for number, path in enumerate(paths):
        group = "sms" if number == 0 else None
        node.bus.register(parse_address(address).with_target(path), Terms(topics=("c",)), group=group)
    answer = node.ask("POST", f"/{then}address={address}", JSON)
    named = f"with path=/a, with path=/b/{'x' * 77}..., with path=/c, and 2 more"
    expected = f"This address is not registered without a path, but {named}; name one of these."
    assert (answer.status_code, answer.json["detail"]) == (409, expected)
    answer = node.ask("POST", f"/{then}address={HERE}&path=/hook", JSON)
    assert answer.json["detail"] == (
        "This address is not registered with path=/hook, but without a path; name one of these."
    )


@pytest.mark.parametrize("whose", [f"address={HERE}", "group=mailer"])
def test_a_retry_says_where_it_is_not_due_now(node: InProcessNode, whose: str) -> None:
    """A subscriber that is paused, or waits for its credentials as all members of a group may, gets nothing at once."""
    states = [node.ask("POST", f"/retry?{whose}", JSON).json["state"]]
    node.ask("POST", f"/pause?{whose}", JSON)
    states.append(node.ask("POST", f"/retry?{whose}", JSON).json["state"])
    node.ask("POST", f"/resume?{whose}", JSON)
    for address, group in ((HERE, None), (MEMBER, "mailer")):
        given = GivenCredentials(authorization="Bearer a")
        found = node.bus.register(parse_address(address), Terms(), group=group, credentials=given)
        (found.member or found.lane).take_credentials(NO_CREDENTIALS)
    states.append(node.ask("POST", f"/retry?{whose}", JSON).json["state"])
    assert states == ["new", "paused", "waiting for credentials"]


@pytest.mark.parametrize("until", ["2020-01-01T00:00:00Z", "3020-01-01T00:00:00Z", "tomorrow"])
def test_a_pause_ends_in_the_future_and_not_too_far(node: InProcessNode, until: str) -> None:
    """Else the error has the range, and the value."""
    answer = node.ask("POST", f"/pause?address={HERE}&until={until}", JSON)
    assert answer.status_code == 400
    assert answer.json["detail"].startswith("until must be a time in the future, at most 366 days from now, such as ")
    assert answer.json["detail"].endswith(f"not {until!r}.")


def test_an_event_is_skipped_where_it_waits(node: InProcessNode) -> None:
    """It is dead by the answer, with its reason; it is not pending a second time."""
    node.ask("POST", f"/pause?address={HERE}", JSON)
    event = publish(node, "a")
    done = node.ask("POST", f"/skip?address={HERE}&id={event}", JSON).json
    assert done == {"address": HERE, "path": None, "group": None, "event": event, "skipped": 1, "in_flight": 0}
    (letter,) = node.ask("GET", f"/deadLetters?address={HERE}", JSON).json["dead_letters"]
    assert (letter["event"], letter["reason"], letter["attempts"]) == (event, "skipped", 0)
    again = node.ask("POST", f"/skip?address={HERE}&id={event}", JSON)
    assert (again.status_code, again.json["detail"]) == (404, f"Event {event!r} is not pending for {HERE}.")


def test_a_browser_without_scripts_comes_back_to_the_page(node: InProcessNode) -> None:
    """Each button of the page is a form of its own, with nothing to type in."""
    page = node.ask("GET", f"/dashboard/subscriber?address={HERE}", HTML).text
    targets = re.findall(r'<form class="act" method="post" action="\.\./([^"]*)"', page)
    assert [target.partition("?")[0] for target in targets] == ["pause", "pause", "retry"]
    for target in targets:
        answer = node.ask("POST", "/" + target.replace("&amp;", "&"), HTML)
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"dashboard/subscriber?address={HERE.replace(':', '%3A')}"
    assert node.bus.dispatcher.lanes[HERE].pause_at(node.bus.clock.monotonic()) is not None
