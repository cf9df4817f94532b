"""Where several nodes are one bus, any of them answers for all: by asking the one that knows, or every one."""

import json
import re
from collections.abc import Iterator

import pytest

from eventbus.core.access import NOBODY
from eventbus.core.addresses import parse_address
from eventbus.core.errors import CallRefused, JournalUnavailable, NotOwner
from eventbus.core.model import Message, Terms
from eventbus.core.tokens import Scope, Tokens, tokens_of
from eventbus.web.cluster.rpc_codec import RpcResponse, decode_response
from eventbus.web.cluster.signed_calls import sign
from eventbus.web.openapi.responses import RESPONSES
from tests.support.deadline import eventually
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

HERE, THERE = "127.0.0.1:8001", "127.0.0.1:8002"
#: What is left of 10 seconds is less on a busy machine.
SILENT = r"Node there did not answer within (10|9(\.\d+)?) s\."
JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}
ADMIN = "admin-0123456789"
TOKEN = {"Authorization": f"Bearer {ADMIN}"}
#: The same event on every node, as on a journal that they share.
EVENT = Message("e-1", "orders", b"", b"{}", 1_795_476_715.0)
ABOUT_ONE = [
    ("POST", f"/registerAndKeepAlive?address={THERE}"),
    ("DELETE", f"/deregister?address=http://{THERE}/"),
    ("POST", f"/replay?address={THERE}&from=earliest"),
    ("POST", f"/pause?address={THERE}"),
    ("POST", f"/resume?address={THERE}"),
    ("POST", f"/retry?address={THERE}"),
    ("GET", f"/deadLetters?address={THERE}"),
    ("HEAD", f"/deadLetters?address={THERE}"),
    ("POST", f"/deadLetters/replay?address={THERE}"),
    ("DELETE", f"/deadLetters?address={THERE}"),
    ("GET", f"/dashboard/subscriber?address={THERE}"),
]
ABOUT_ALL = [
    ("GET", "/listSubscribers"),
    ("GET", "/events/e-1"),
    ("GET", "/attempts"),
    ("GET", "/deadLetters"),
    ("POST", "/deadLetters/replay?all=true"),
    ("DELETE", "/deadLetters?all=true"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("GET", "/dashboard/subscribers"),
    ("GET", "/dashboard/event?id=e-1"),
    ("GET", "/dashboard/deadLetters"),
]
ABOUT_NOBODY = [
    ("POST", "/sendMessage"),
    ("GET", "/events"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/dashboard/journal"),
    ("GET", "/dashboard/settings"),
    ("HEAD", "/metrics"),
]


def done(target: str) -> int:
    """The status of a request of a browser that does what it asks for: after an action it goes back to the page."""
    return 303 if target.startswith(("/pause", "/resume", "/retry")) else 200


Two = tuple[InProcessNode, InProcessNode]


@pytest.fixture
def two() -> Iterator[Two]:
    """Two nodes, each with a subscriber that has refused an event; the first knows whom the second has."""
    with in_process_nodes("here", "there") as (here, there):
        for node, address in ((here, HERE), (there, THERE)):
            node.bus.register(parse_address(address), Terms())
            assert node.bus.publish([EVENT]).ids == ("e-1",)
        for node, address in ((here, HERE), (there, THERE)):
            eventually(lambda node=node, key=address: node.bus.dispatcher.lanes[key].dead, 20)
            node.bus.dispatcher.checkpointer.save()
        here.owners[THERE] = "there"
        yield here, there


# One subscriber


@pytest.mark.parametrize(("method", "target"), ABOUT_ONE)
def test_what_is_asked_about_a_subscriber_its_node_answers(two: Two, method: str, target: str) -> None:
    """A request about another node's subscriber is answered by that node, and by no other."""
    here, _ = two
    assert here.ask(method, target, JSON).status_code == 200
    assert here.asked == ["there"]
    assert THERE not in here.bus.dispatcher.lanes


def test_an_owners_answer_is_given_back_unchanged(two: Two) -> None:
    """Status, headers and body are the owner's, be it text, JSON, a page or a refusal."""
    here, there = two
    for method, target, headers in (
        ("POST", f"/registerAndKeepAlive?address={THERE}", {}),
        ("POST", f"/registerAndKeepAlive?address={THERE}&lease=1", JSON),
        ("POST", f"/replay?address={THERE}", {}),
        ("GET", f"/deadLetters?address={THERE}", JSON),
    ):
        passed, direct = here.ask(method, target, headers), there.ask(method, target, headers)
        assert passed.data == direct.data
        assert (passed.status, list(passed.headers)) == (direct.status, list(direct.headers))
    page = here.ask("GET", f"/dashboard/subscriber?address={THERE}", HTML)
    assert page.headers["Content-Security-Policy"]
    assert THERE in page.text


def test_a_registration_is_made_where_the_subscriber_is(two: Two) -> None:
    """What a renewal says reaches the node that delivers, and its answer tells how the subscriber is doing there."""
    here, there = two
    answer = here.ask("POST", f"/registerAndKeepAlive?address={THERE}&topic=orders.*&max_in_flight=3", JSON).json
    assert (answer["created"], answer["dead"], answer["max_in_flight"]) == (False, 1, 3)
    assert there.bus.dispatcher.lanes[THERE].subscriber.options.topics == ("orders.*",)


@pytest.mark.parametrize("address", [HERE, "127.0.0.1:8003"])
def test_one_that_no_other_node_has_is_answered_here(two: Two, address: str) -> None:
    """A subscriber of this node, and one that nobody has, needs no other node."""
    here, _ = two
    assert here.ask("POST", f"/registerAndKeepAlive?address={address}").text == "success"
    assert address in here.bus.dispatcher.lanes
    assert here.asked == []


def test_a_dead_letter_is_its_subscribers_nodes(two: Two) -> None:
    """A dead letter that is named by its id alone is replayed or discarded where its subscriber is."""
    here, _ = two
    here.owners[HERE] = "there"
    assert here.ask("DELETE", "/deadLetters?id=1", JSON).json == {"discarded": 1}
    assert here.asked == ["there"]
    assert here.bus.dispatcher.lanes[HERE].dead == 1


@pytest.mark.parametrize(
    "target",
    [
        "/registerAndKeepAlive",
        "/registerAndKeepAlive?address=a%20b",
        "/registerAndKeepAlive?address=a;b",
        "/replay?x=%zz",
    ],
)
def test_what_names_no_subscriber_is_refused_here(two: Two, target: str) -> None:
    """An address that is none, or a query that does not parse, is told as ever, and no other node is asked."""
    here, there = two
    passed, direct = here.ask("POST", target), there.ask("POST", target)
    assert (passed.status_code, passed.text) == (400, direct.text)
    assert here.asked == []


def test_a_request_is_passed_on_once(two: Two) -> None:
    """Where a subscriber has moved on meanwhile, the client is told to ask again instead of being sent around."""
    here, there = two
    there.owners[THERE] = "here"
    answer = here.ask("POST", f"/registerAndKeepAlive?address={THERE}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.text.startswith("Error:The ownership of this subscriber is moving")
    assert (here.asked, there.asked) == (["there"], [])
    problem = RESPONSES["NotOwner"]["content"]["application/problem+json"]["example"]
    assert here.ask("DELETE", f"/deregister?address={THERE}", JSON).json == problem


def test_an_owner_that_does_not_answer_is_told(two: Two) -> None:
    """Where the subscriber's node is silent the answer is 503, as text or as a problem, with when to ask again."""
    here, _ = two
    here.silent.add("there")
    answer = here.ask("POST", f"/registerAndKeepAlive?address={THERE}")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert re.fullmatch(f"Error:{SILENT}", answer.text)
    problem = here.ask("POST", f"/replay?address={THERE}&from=now", JSON)
    assert (problem.status_code, problem.content_type) == (503, "application/problem+json")
    assert problem.headers["Retry-After"] == "1"
    assert here.bus.counters.refused["node_silent"] == 2


@pytest.mark.parametrize(("method", "target"), ABOUT_ONE)
def test_a_request_follows_a_dead_nodes_subscriber_to_another_node(two: Two, method: str, target: str) -> None:
    """What a dead node has not taken is asked of the node that has its subscriber next, and the client gets that."""
    here, _ = two
    here.owners[THERE], here.dead["gone"] = "gone", "there"
    assert here.ask(method, target, JSON).status_code == 200
    assert here.asked == ["gone", "there"]


def test_a_request_about_a_dead_nodes_subscriber_is_answered_here_where_nobody_else_has_it(two: Two) -> None:
    """A node that is asked about a subscriber whose node has died in the meantime cares for it by itself."""
    here, _ = two
    here.owners[THERE], here.dead["gone"] = "gone", None
    assert here.ask("POST", f"/registerAndKeepAlive?address={THERE}").text == "success"
    assert (here.asked, THERE in here.bus.dispatcher.lanes) == (["gone"], True)


def test_a_subscriber_that_another_node_takes_in_this_moment_is_asked_of_that_one(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another node was faster in taking over a subscriber, it is that one which answers."""
    here, _ = two
    owner = here.owners.pop(THERE)

    def taken(key: str) -> None:
        here.owners[key] = owner
        raise NotOwner("Another bus has this subscriber; it is asked the next time.")

    monkeypatch.setattr(here.bus.cluster, "find", taken)
    assert here.ask("POST", f"/registerAndKeepAlive?address={THERE}").text == "success"
    assert here.asked == ["there"]


def test_a_subscriber_that_nobody_has_for_a_moment_is_not_taken_for_one_that_is_not_registered(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where this node could not take it over just now, and no other did, who asks is told to ask again."""
    here, _ = two
    del here.owners[THERE]

    def begun_anew(key: str) -> None:
        raise NotOwner(f"This bus has just begun anew, and may have {key} or not; ask again.")

    monkeypatch.setattr(here.bus.cluster, "find", begun_anew)
    assert here.ask("POST", f"/replay?address={THERE}&from=earliest").status_code == 503
    assert here.asked == []


def test_a_request_that_may_have_been_taken_is_not_repeated(two: Two) -> None:
    """A node that took a request and did not answer may have done it: no other node is asked to do it again."""
    here, _ = two
    here.silent.add("there")
    for method, target in ABOUT_ONE:
        assert here.ask(method, target, JSON).status_code == 503
    assert here.asked == ["there"] * len(ABOUT_ONE)


def test_a_page_of_an_owner_that_does_not_answer_waits(two: Two) -> None:
    """In the dashboard that is a page which says so, and is asked for again; as JSON a problem; both are 503."""
    here, _ = two
    here.silent.add("there")
    page = here.ask("GET", f"/dashboard/subscriber?address={THERE}", HTML)
    assert (page.status_code, page.headers["Retry-After"]) == (503, "1")
    assert page.headers["Content-Security-Policy"]
    assert '<section id="reason" data-live="1">' in page.text
    assert re.search(SILENT, page.text)
    problem = here.ask("GET", f"/dashboard/subscriber?address={THERE}", JSON)
    assert (problem.status_code, problem.content_type) == (503, "application/problem+json")


def test_without_the_journal_nobody_can_be_asked(two: Two) -> None:
    """Where it cannot be told who has a subscriber, that is the journal's trouble: 503."""
    here, _ = two
    here.trouble = JournalUnavailable("The journal cannot be read: gone.")
    answer = here.ask("DELETE", f"/deregister?address={THERE}")
    assert (answer.status_code, answer.text) == (503, "Error:The journal cannot be read: gone.")
    assert here.ask("GET", "/listSubscribers").status_code == 200


# All


@pytest.mark.parametrize(("method", "target"), ABOUT_ALL)
def test_what_is_asked_about_all_every_node_answers(two: Two, method: str, target: str) -> None:
    """All nodes are asked, each once, and the answer says that it is from all."""
    here, there = two
    answer = here.ask(method, target, JSON)
    assert (answer.status_code, answer.headers["Eventbus-Nodes"]) == (200, "2 of 2")
    assert answer.headers.getlist("Content-Length") == [str(len(answer.data))]
    assert (here.asked, there.asked) == (["there"], [])


@pytest.mark.parametrize(("method", "target"), ABOUT_ALL)
def test_a_node_that_is_silent_is_left_out(two: Two, method: str, target: str) -> None:
    """What the others know is told, and that one was not heard."""
    here, _ = two
    here.silent.add("there")
    answer = here.ask(method, target, HTML)
    assert (answer.status_code, answer.headers["Eventbus-Nodes"]) == (200, "1 of 2")


@pytest.mark.parametrize(("method", "target"), ABOUT_ALL)
def test_subscribers_that_no_node_has_count_as_a_node_that_was_not_heard(two: Two, method: str, target: str) -> None:
    """From a node's death until others have its subscribers, what is told of all says that it is short."""
    here, there = two
    here.orphaned = True
    answer = here.ask(method, target, JSON)
    assert (answer.status_code, answer.headers["Eventbus-Nodes"]) == (200, "2 of 3")
    there.orphaned, there.silent = True, {"here"}
    assert there.ask(method, target, JSON).headers["Eventbus-Nodes"] == "1 of 3"


def test_the_only_node_left_says_that_its_list_is_short() -> None:
    """The list of one of two nodes is not taken for whole where the other has just died; later it is."""
    with in_process_nodes("only") as (only,):
        only.orphaned = True
        assert only.ask("GET", "/listSubscribers").headers["Eventbus-Nodes"] == "1 of 2"
        assert "Only 1 of 2 nodes answered" in only.ask("GET", "/", HTML).text
        only.orphaned = False
        assert "Eventbus-Nodes" not in only.ask("GET", "/listSubscribers").headers


@pytest.mark.parametrize(("method", "target"), [*ABOUT_ALL, *ABOUT_NOBODY])
def test_a_node_without_others_asks_nobody(method: str, target: str) -> None:
    """The only node answers by itself, and says nothing of nodes."""
    with in_process_nodes("only") as (only,):
        answer = only.ask(method, target, JSON)
        assert answer.status_code == (404 if "e-1" in target else done(target))
        assert "Eventbus-Nodes" not in answer.headers


@pytest.mark.parametrize("target", ["/", "/dashboard/subscribers", "/dashboard/event?id=e-1", "/dashboard/deadLetters"])
def test_a_page_says_that_a_node_was_not_heard(two: Two, target: str) -> None:
    """A page that not all nodes have a part in says so; one that all have does not."""
    here, _ = two
    said = "Only 1 of 2 nodes answered"
    assert said not in here.ask("GET", target, HTML).text
    here.silent.add("there")
    assert said in here.ask("GET", target, HTML).text


@pytest.mark.parametrize(("method", "target"), ABOUT_NOBODY)
def test_what_any_node_knows_is_asked_of_none(two: Two, method: str, target: str) -> None:
    """Publishing, the journal and a node's own health are answered here."""
    here, _ = two
    assert here.ask(method, target, JSON).status_code == 200
    assert here.asked == []


def test_subscribers_of_all_nodes_are_listed(two: Two) -> None:
    """The list has every node's subscribers in their order, as text and as JSON."""
    here, there = two
    for node in two:
        assert [line.partition(" ")[0] for line in node.ask("GET", "/listSubscribers").text.splitlines()] == [
            HERE,
            THERE,
        ]
        listed = node.ask("GET", "/listSubscribers", JSON).json["subscribers"]
        assert [(each["address"], each["dead"]) for each in listed] == [(HERE, 1), (THERE, 1)]
    assert (here.asked, there.asked) == (["there"] * 2, ["here"] * 2)


def test_an_event_is_told_with_the_deliveries_of_every_node(two: Two) -> None:
    """Where an event stands is told for every node's subscribers, on the dashboard too."""
    here, _ = two
    for target in ("/events/e-1", "/dashboard/event?id=e-1"):
        deliveries = here.ask("GET", target, JSON).json["deliveries"]
        assert [(each["address"], each["state"]) for each in deliveries] == [(HERE, "dead"), (THERE, "dead")]
        steps = [step for each in deliveries for step in each["timeline"]]
        assert [(step["address"], step["status"], step["outcome"]) for step in steps] == [
            (HERE, 400, "rejected"), (THERE, 400, "rejected"),
        ]  # fmt: skip
    page = here.ask("GET", "/dashboard/event?id=e-1", HTML).text
    assert page.count("attempt 1: 400, rejected") == 2
    assert HERE in page
    assert THERE in page


def test_attempts_of_every_node_are_one_list(two: Two) -> None:
    """The attempt that ended last is the first, whoever made it; pages go on where each node left off."""
    here, _ = two
    whole = here.ask("GET", "/attempts", JSON)
    assert whole.headers["Eventbus-Nodes"] == "2 of 2"
    assert whole.json["next"] is None
    found = whole.json["attempts"]
    assert sorted((each["node"], each["address"], each["event"]) for each in found) == [
        ("here", HERE, "e-1"), ("there", THERE, "e-1"),
    ]  # fmt: skip
    first = here.ask("GET", "/attempts?limit=1", JSON).json
    second = here.ask("GET", f"/attempts?limit=1&after={first['next']}", JSON).json
    assert first["attempts"] + second["attempts"] == found
    assert second["next"] is None
    assert here.ask("GET", f"/attempts?address={THERE}", JSON).json["attempts"] == [
        each for each in found if each["node"] == "there"
    ]


def test_all_dead_letters_are_discarded_on_every_node(two: Two) -> None:
    """Discarding all of them reaches every node, and the answer counts them together."""
    here, there = two
    assert here.ask("DELETE", "/deadLetters?all=true", JSON).json == {"discarded": 2}
    assert [node.bus.dispatcher.lanes[key].dead for node, key in ((here, HERE), (there, THERE))] == [0, 0]


def test_metrics_are_of_every_node(two: Two) -> None:
    """A scrape of any node has what all have counted, each under its name, and what is pending or dead in all."""
    here, _ = two
    answer = here.ask("GET", "/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    assert 'eventbus_events_accepted_total{node="here"} 1.0' in lines
    assert 'eventbus_events_accepted_total{node="there"} 1.0' in lines
    assert "eventbus_dead_letters 2.0" in lines
    assert f'eventbus_subscriber_dead_letters{{subscriber="{THERE}"}} 1.0' in lines


def test_the_dashboard_shows_every_node(two: Two) -> None:
    """The overview counts all nodes' subscribers, and the table has them, in a page as in JSON."""
    here, _ = two
    overview = here.ask("GET", "/", JSON).json
    assert (overview["subscribers"]["ok"], overview["dead"]) == (2, 2)
    assert [row["address"] for row in overview["attention"]] == [HERE, THERE]
    assert THERE in here.ask("GET", "/", HTML).text
    table = here.ask("GET", "/dashboard/subscribers?sort=dead", HTML)
    assert HERE in table.text
    assert THERE in table.text
    assert table.headers["Content-Security-Policy"]


def test_a_later_page_of_the_table_is_cut_from_all_rows() -> None:
    """The second page of all nodes' subscribers begins where the first one ended."""
    with in_process_nodes("here", "there") as nodes:
        for number in range(120):
            nodes[number % 2].bus.register(parse_address(f"127.0.0.1:{8_000 + number}"), Terms())
        pages = [nodes[0].ask("GET", f"/dashboard/subscribers?start={start}", JSON).json for start in (0, 50, 100)]
        shown = [row["address"] for page in pages for row in page["rows"]]
        assert shown == [f"127.0.0.1:{8_000 + number}" for number in range(120)]
        assert [(page["count"], page["previous"], page["following"]) for page in pages] == [
            (120, None, 50),
            (120, 0, 100),
            (120, 50, None),
        ]


@pytest.mark.parametrize(
    ("target", "status"),
    [("/events/none", 404), ("/dashboard/event?id=none", 404), ("/dashboard/subscribers?start=x", 400)],
)
def test_what_this_node_refuses_is_asked_of_no_other(two: Two, target: str, status: int) -> None:
    """What is not there, or cannot be asked for, is told as ever."""
    here, _ = two
    for headers in (JSON, HTML):
        assert here.ask("GET", target, headers).status_code == status
    assert here.asked == []


@pytest.mark.parametrize(("method", "target"), [*ABOUT_ONE, *ABOUT_ALL])
def test_who_may_not_ask_reaches_no_other_node(method: str, target: str) -> None:
    """Without a token nothing is passed on; with one all is, and is looked at there again."""
    tokens = tokens_of({Scope.ADMIN: ADMIN})
    with in_process_nodes("here", "there", tokens=tokens) as (here, there):
        there.bus.register(parse_address(THERE), Terms())
        here.owners[THERE] = "there"
        assert here.ask(method, target, HTML).status_code == 401
        assert here.asked == []
        assert here.ask(method, target, HTML | TOKEN).status_code == (404 if "e-1" in target else done(target))
        assert here.asked == ([] if "e-1" in target else ["there"])


def test_a_page_from_elsewhere_changes_nothing_on_another_node(two: Two) -> None:
    """A browser that a foreign page sends is refused before another node is asked."""
    here, _ = two
    foreign = {"Origin": "http://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert here.ask("DELETE", f"/deregister?address={THERE}", foreign).status_code == 403
    assert here.asked == []


def test_an_answer_comes_through_as_it_was() -> None:
    """Packing and unpacking an answer changes nothing, whatever bytes are in it."""
    answer = RpcResponse("507 Insufficient Storage", (("A", "b"), ("A", "\xe9")), b'{"x"\n:\x00\xff}')
    assert decode_response(answer.encode()) == answer


@pytest.mark.parametrize("target", ["/listSubscribers", "/healthz", "/dashboard/subscribers", "/events", "/nowhere"])
def test_an_answer_that_depends_on_accept_says_so(two: Two, target: str) -> None:
    """``Vary`` names ``Accept`` whether the answer is JSON or text, one node's or gathered; other answers have none."""
    here, _ = two
    for accept in (JSON, HTML, {}):
        assert here.ask("GET", target, accept).headers["Vary"] == "Accept"
    assert "Vary" not in here.ask("GET", "/metrics").headers
    assert "Vary" not in here.ask("GET", "/openapi.json").headers


# Tokens


@pytest.mark.parametrize(("method", "target"), [*ABOUT_ONE, *ABOUT_ALL[:1], *ABOUT_ALL[2:9], ABOUT_ALL[10]])
def test_no_token_goes_to_another_node(method: str, target: str) -> None:
    """What nodes ask each other holds neither a token, nor a cookie, nor a parameter that the route does not take."""
    with in_process_nodes("here", "there", tokens=tokens_of({Scope.ADMIN: ADMIN})) as (here, there):
        there.bus.register(parse_address(THERE), Terms())
        here.owners[THERE] = "there"
        secret = f"{target}{'&' if '?' in target else '?'}token={ADMIN}"
        headers = TOKEN | HTML | {"Cookie": ADMIN, "X-Api-Key": ADMIN}
        answer = here.ask(method, secret, headers)
        assert (answer.status_code, answer.headers.getlist("Eventbus-Ignored")) == (done(target), ["token"])
        assert len(here.calls) == 1
        assert ADMIN.encode() not in here.calls[0]


def test_a_call_is_done_once() -> None:
    """Whoever repeats one that it has seen, or sends it to another node, or one of its own, has nothing done."""
    with in_process_nodes("here", "there", "third", tokens=tokens_of({Scope.ADMIN: ADMIN})) as (here, there, third):
        here.owners[THERE] = "there"
        there.bus.register(parse_address(THERE), Terms())
        assert here.ask("DELETE", f"/deregister?address={THERE}", TOKEN).status_code == 200
        there.bus.register(parse_address(THERE), Terms())
        for node in (there, third):
            with pytest.raises(CallRefused):
                node.forwarding.answer(here.calls[0])
        made_up = json.dumps({"REQUEST_METHOD": "DELETE", "PATH_INFO": "/deregister"} | TOKEN).encode()
        for call in (made_up, b"\n" + made_up):
            with pytest.raises(CallRefused):
                there.forwarding.answer(call)
        assert not there.bus.dispatcher.lanes[THERE].closed


def test_what_no_node_passes_on_is_not_done() -> None:
    """Where everything is open, too, whoever writes into the journal's server publishes nothing by a call."""
    with in_process_nodes("here") as (here,):
        request = {"REQUEST_METHOD": "POST", "PATH_INFO": "/sendMessage", "QUERY_STRING": ""}
        request |= {"SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": "", "SERVER_PORT": ""}
        with pytest.raises(CallRefused, match="such a request is not forwarded"):
            here.forwarding.answer(sign([], "here", here.now(), request, NOBODY).text)
        assert not here.bus.journal.page(0, 10, 10, 1_000).events


def test_nodes_without_a_token_in_common_say_so(caplog: pytest.LogCaptureFixture) -> None:
    """The client of one is told what to set, both are not taken for one bus, and the log says so once a minute."""
    other = "admin-other-0123456789"
    each = {"here": tokens_of({Scope.ADMIN: ADMIN}), "there": tokens_of({Scope.ADMIN: other})}
    with in_process_nodes("here", "there", each=each) as (here, there):
        there.bus.register(parse_address(THERE), Terms())
        here.owners[THERE] = "there"
        answer = here.ask("POST", f"/registerAndKeepAlive?address={THERE}", TOKEN)
        assert answer.status_code == 503
        assert "set the same ones on all nodes" in answer.text
        assert here.ask("GET", "/listSubscribers", TOKEN).headers["Eventbus-Nodes"] == "1 of 2"
        assert caplog.text.count("calls of peers") == 1


@pytest.mark.parametrize("tokens", [tokens_of({}), tokens_of({Scope.ADMIN: ADMIN})])
def test_an_answer_that_is_made_up_is_not_given_to_a_client(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that is not signed, where it has to be, nor a header that would begin another answer."""
    with in_process_nodes("here", "there", tokens=tokens) as (here, there):
        here.owners[THERE] = "there"
        forged = RpcResponse("200 OK", (("X", "a\r\nSet-Cookie: b"),), b"<script>").encode()
        for made_up in (b"\n" + forged, forged, b"", b"\n{}", b'\n{"status": 1, "headers": []}'):
            monkeypatch.setattr(there.forwarding, "answer", lambda _, made_up=made_up: made_up)
            answer = here.ask("GET", f"/dashboard/subscriber?address={THERE}", TOKEN | HTML)
            assert (answer.status_code, "<script>" in answer.text) == (503, False)
