"""Where several nodes are one bus, a question about a group or a member is answered by the node that has the group."""

from collections.abc import Iterator

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Message, Terms
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

A, B, ALONE = (f"127.0.0.1:{port}" for port in (8001, 8002, 8003))
KEY = "group=mailer"
JSON = {"Accept": "application/json"}
EVENT = Message("e-1", "orders", b"", b"{}", 1_795_476_715.0)
WHOM = ("group=mailer", f"address={A}", f"address=HTTP://{B}/", f"address={A}&group=mailer")
ABOUT_ONE = [
    ("POST", f"/registerAndKeepAlive?address={A}&group=mailer"),
    ("POST", "/registerAndKeepAlive?address=127.0.0.1:8009&group=mailer"),
    *(("DELETE", f"/deregister?{whom}") for whom in WHOM),
    *(("POST", f"/replay?from=earliest&{whom}") for whom in WHOM),
    *(("GET", f"/deadLetters?{whom}") for whom in WHOM),
    *(("POST", f"/deadLetters/replay?{whom}") for whom in WHOM),
    *(("DELETE", f"/deadLetters?{whom}") for whom in WHOM if "&" not in whom),
    *(("GET", f"/dashboard/subscriber?{whom}") for whom in WHOM),
]
REFUSED = f"{A} is a member of the group mailer; add group=mailer, or deregister it first."

Two = tuple[InProcessNode, InProcessNode]


@pytest.fixture
def two() -> Iterator[Two]:
    """Two nodes; the second has a group of two whose members have refused an event, and the first knows it."""
    with in_process_nodes("here", "there") as (here, there):
        for address in (A, B):
            there.bus.register(parse_address(address), Terms(), group="mailer")
            here.groups[address] = KEY
        here.owners[KEY] = "there"
        there.bus.publish([EVENT])
        eventually(lambda: there.bus.dispatcher.lanes[KEY].dead, 20)
        there.bus.dispatcher.checkpointer.save()
        yield here, there


@pytest.mark.parametrize(("method", "target"), ABOUT_ONE)
def test_what_is_asked_about_a_group_or_a_member_the_groups_node_answers(two: Two, method: str, target: str) -> None:
    """It is passed on once, to that node, whichever of both is named."""
    here, there = two
    answer = here.ask(method, target, JSON)
    assert answer.status_code == 200
    assert (here.asked, there.asked) == (["there"], [])
    assert not here.bus.dispatcher.lanes


def test_an_address_that_leaves_is_looked_for_by_the_address(two: Two) -> None:
    """Where another group is named beside it, the member leaves the group that it is in."""
    here, there = two
    assert here.ask("DELETE", f"/deregister?address={A}&group=printer").text == "success"
    assert here.asked == ["there"]
    assert [each["address"] for each in there.ask("GET", "/listSubscribers", JSON).json["subscribers"]] == [B]


def test_a_member_that_registers_alone_is_told_what_it_is(two: Two) -> None:
    """The group's node refuses it: 409, and 400 in plain text."""
    here, _ = two
    target = f"/registerAndKeepAlive?address={A}"
    answer = here.ask("POST", target)
    assert (answer.status_code, answer.text) == (400, f"Error:{REFUSED}")
    problem = here.ask("POST", target, JSON)
    assert (problem.status_code, problem.json["detail"]) == (409, REFUSED)
    assert here.asked == ["there"] * 2


def test_a_group_that_is_none_is_refused_here(two: Two) -> None:
    """A name that no group can have is told as ever, and no other node is asked."""
    here, there = two
    target = f"/registerAndKeepAlive?address={A}&group=a%20b"
    passed, direct = here.ask("POST", target), there.ask("POST", target)
    assert (passed.status_code, passed.text) == (400, direct.text)
    assert here.asked == []


def test_a_group_that_no_other_node_has_is_answered_here(two: Two) -> None:
    """One that this node has, or nobody, needs no other node."""
    here, _ = two
    assert here.ask("POST", f"/registerAndKeepAlive?address={ALONE}&group=printer").text == "success"
    assert (here.asked, list(here.bus.dispatcher.lanes)) == ([], ["group=printer"])


def test_what_is_registered_here_is_not_looked_for_elsewhere(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node knows by itself what its own addresses and members are registered for."""
    here, _ = two
    here.bus.register(parse_address(ALONE), Terms())
    here.bus.register(parse_address("127.0.0.1:8004"), Terms(), group="printer")
    monkeypatch.setattr(here, "group_of", None)
    for target in (f"address={ALONE}", "address=127.0.0.1:8004&group=printer"):
        assert here.ask("POST", f"/registerAndKeepAlive?{target}").text == "success"
    assert here.ask("DELETE", "/deregister?address=127.0.0.1:8004").text == "success"
    assert here.asked == []


def test_a_request_follows_a_dead_nodes_group_to_another_node(two: Two) -> None:
    """What is asked about a member is asked of the node that has the group next."""
    here, _ = two
    here.owners[KEY], here.dead["gone"] = "gone", "there"
    assert here.ask("POST", f"/registerAndKeepAlive?address={A}&group=mailer", JSON).json["created"] is False
    assert here.asked == ["gone", "there"]


# All nodes


def test_groups_of_all_nodes_are_listed(two: Two) -> None:
    """The list has a line for each member of any node's groups, and each group with its members."""
    here, _ = two
    here.bus.register(parse_address(ALONE), Terms(), group="printer")
    assert [line.partition(" ")[0] for line in here.ask("GET", "/listSubscribers").text.splitlines()] == [A, B, ALONE]
    listed = here.ask("GET", "/listSubscribers", JSON).json
    assert [(each["address"], each["group"]) for each in listed["subscribers"]] == [
        (A, "mailer"), (B, "mailer"), (ALONE, "printer"),
    ]  # fmt: skip
    members = {each["group"]: [one["address"] for one in each["members"]] for each in listed["groups"]}
    assert members == {"mailer": [A, B], "printer": [ALONE]}


def test_an_event_is_told_of_a_group_and_of_an_address_of_the_same_name(two: Two) -> None:
    """Both are deliveries of it."""
    here, _ = two
    here.bus.register(parse_address("mailer"), Terms())
    here.bus.publish([EVENT])
    eventually(lambda: here.bus.dispatcher.lanes["mailer"].dead, 20)
    deliveries = here.ask("GET", "/events/e-1", JSON).json["deliveries"]
    assert [(each["address"], each["group"]) for each in deliveries] == [("mailer", None), (None, "mailer")]


def test_metrics_and_the_dashboard_have_a_group_as_one(two: Two) -> None:
    """A scrape of any node has one series for a group, under its name, and the table one row."""
    here, _ = two
    lines = here.ask("GET", "/metrics").text.splitlines()
    assert 'eventbus_subscriber_dead_letters{subscriber="mailer"} 1.0' in lines
    assert sorted(line for line in lines if line.startswith("eventbus_members{")) == [
        f'eventbus_members{{state="{state}",subscriber="mailer"}} 1.0' for state in ("new", "ok")
    ]
    assert not any(A in line for line in lines)
    (row,) = here.ask("GET", "/dashboard/subscribers", JSON).json["rows"]
    assert (row["group"], [member["address"] for member in row["members"]]) == ("mailer", [A, B])
    assert [row["address"] for row in here.ask("GET", "/", JSON).json["attention"]] == ["mailer"]


def test_the_page_of_dead_letters_of_a_member_has_its_groups(two: Two) -> None:
    """Every node is asked, and the one that has the group knows whom the address stands for."""
    here, _ = two
    page = here.ask("GET", f"/dashboard/deadLetters?address={A}", JSON).json
    assert [(letter["subscriber"], letter["group"]) for letter in page["letters"]] == [("mailer", "mailer")]
    assert (page["name"], page["group"]) == ("mailer", "mailer")
