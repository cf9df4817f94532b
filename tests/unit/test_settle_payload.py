"""What a publish with ``settle`` may ask for, and how its answer is written."""

import json
from typing import Any, cast

import pytest

from eventbus.core.access import Access
from eventbus.core.addresses import parse_address
from eventbus.core.errors import BadRequest, CallRefused, JournalUnavailable
from eventbus.core.model import Group, Options, Subscriber
from eventbus.core.tokens import Scope, Tokens, expanded
from eventbus.delivery.awaited import DeliveryState
from eventbus.services.settled_fates import Settled, SettledFate
from eventbus.web.cluster.fates import PeersOfPublish, answer_fates
from eventbus.web.cluster.rpc_codec import ACCESS, RpcResponse
from eventbus.web.query import parse_query
from eventbus.web.settle import MAX_LISTED, check_unsettled, may_list, settle_seconds, settled_payload


def subscriber(number: int, path: str = "") -> Subscriber:
    """One of many."""
    return Subscriber(parse_address(f"127.0.0.1:{8000 + number}").with_target(path), Options())


def settled(*states: str, unknown: int = 0) -> Settled:
    """Subscribers with these states."""
    fates = [SettledFate(subscriber(number), DeliveryState(state, 1, 200)) for number, state in enumerate(states)]
    return Settled({fate.subscription.key: fate for fate in fates}, unknown)


@pytest.mark.parametrize(("text", "seconds"), [("0.1", 0.1), ("5", 5.0), ("60", 60.0)])
def test_a_time_from_a_tenth_of_a_second_to_a_minute_may_be_waited(text: str, seconds: float) -> None:
    """The limits may be waited, too."""
    assert settle_seconds(parse_query(f"settle={text}")) == seconds


@pytest.mark.parametrize("text", ["", "0", "0.05", "60.1", "-1", "nan", "inf", "5s", "1e3"])
def test_any_other_time_is_refused_with_the_range(text: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(BadRequest, match=r"settle must be a number from 0\.1 to 60, not"):
        settle_seconds(parse_query(f"settle={text}"))


@pytest.mark.parametrize("name", ["delay", "deliver_at"])
def test_what_is_delayed_is_not_waited_for(name: str) -> None:
    """Both together are refused."""
    with pytest.raises(BadRequest, match=f"settle and {name} contradict each other"):
        settle_seconds(parse_query(f"settle=5&{name}=1"))


def test_a_batch_is_not_waited_for() -> None:
    """It is refused, not published without waiting; one that does not ask is not."""
    check_unsettled(parse_query("batch=lines"))
    with pytest.raises(BadRequest, match="single event"):
        check_unsettled(parse_query("batch=lines&settle=5"))


def test_each_state_is_counted_and_what_needs_attention_comes_first() -> None:
    """Each subscription is named with its state, attempts and status."""
    found = settled_payload(settled("delivered", "dead", "pending", "filtered", "discarded"), listed=True)
    assert {name: found[name] for name in ("pending", "dead", "discarded", "filtered", "delivered")} == dict.fromkeys(
        ("pending", "dead", "discarded", "filtered", "delivered"), 1
    )
    assert [row["state"] for row in found["subscriptions"]] == ["pending", "dead", "discarded", "filtered", "delivered"]
    assert found["subscriptions"][0] == {
        "address": "127.0.0.1:8002",
        "path": None,
        "group": None,
        "state": "pending",
        "status": 200,
        "attempts": 1,
    }
    assert found["more"] == 0


def test_the_list_is_bounded_and_the_rest_counted() -> None:
    """Those that nodes did not tell of are pending, and among the rest."""
    found = settled_payload(settled(*["delivered"] * (MAX_LISTED + 7), "dead", unknown=2), listed=True)
    assert (found["delivered"], found["dead"], found["pending"]) == (MAX_LISTED + 7, 1, 2)
    assert len(found["subscriptions"]) == MAX_LISTED
    assert found["subscriptions"][0]["state"] == "dead"
    assert found["more"] == 10


def test_who_may_not_list_subscribers_gets_the_numbers() -> None:
    """No name is in the answer."""
    found = settled_payload(settled("delivered", "dead"), listed=False)
    assert (found["delivered"], found["dead"], found["subscriptions"], found["more"]) == (1, 1, [], 2)


def test_a_token_that_may_subscribe_or_view_may_list() -> None:
    """As an administrator, and as everybody does where there are no tokens."""
    assert may_list(None)
    assert not may_list(Access(frozenset({Scope.PUBLISH})))
    for scope in (Scope.SUBSCRIBE, Scope.VIEW):
        assert may_list(Access(frozenset({Scope.PUBLISH, scope})))
    assert may_list(Access(expanded([Scope.ADMIN])))


class NodesOfTest:
    """The peers that there are, and whether some subscription has no node."""

    def __init__(self, *, orphans: bool = False) -> None:
        self.orphans = orphans

    def peers(self) -> list[str]:
        """Two."""
        return ["b", "c"]

    def has_orphans(self) -> bool:
        """As the test says."""
        return self.orphans


class RpcOfTest:
    """Answers for peers."""

    def __init__(self, **answers: RpcResponse) -> None:
        self.answers = answers
        self.asked: dict[str, Any] = {}

    def ask_all(self, _: Any, environ: dict[str, Any], __: float) -> dict[str, RpcResponse]:
        """The answers of those that answer."""
        self.asked = environ
        return self.answers


class BusOfTest:
    """A bus that reports what the test says."""

    def give_way(self) -> None:
        """There is nothing else to do."""

    tokens = Tokens()  #: none

    class settling:  # noqa: N801 - as a bus has it
        """Knows of a group and of a subscriber with a path."""

        @staticmethod
        def report(event_id: str, seconds: float) -> Any:
            """What became of the event."""
            assert (event_id, seconds) == ("id-1", 5.0)
            whose = [Group("mailer", Options()), subscriber(1, "/hooks?a=b")]
            return {each.key: SettledFate(each, DeliveryState("dead", 3, 422)) for each in whose}


def ask(*, orphans: bool = False, **answers: RpcResponse) -> Any:
    """Ask peers that answer so."""
    rpc = RpcOfTest(**answers)
    peers = PeersOfPublish(cast(Any, rpc), cast(Any, NodesOfTest(orphans=orphans)), lambda: None, {}, 5.0)
    return peers.ask("id-1"), rpc.asked


def test_what_a_node_answers_is_what_another_reads() -> None:
    """Groups, paths, attempts and statuses included."""
    _, asked = ask()
    answered = answer_fates(cast(Any, BusOfTest()), asked)
    found, _ = ask(b=answered, c=RpcResponse("200 OK", (), b""))
    assert found.complete
    assert {key: (fate.subscription.key, fate.delivery) for key, fate in found.fates.items()} == {
        "group=mailer": ("group=mailer", DeliveryState("dead", 3, 422)),
        "127.0.0.1:8001?path=/hooks?a=b": ("127.0.0.1:8001?path=/hooks?a=b", DeliveryState("dead", 3, 422)),
    }


@pytest.mark.parametrize("query", ["id=id-1", "settle=5", "id=id-1&settle=x", "id=id-1&settle=61", "id=%zz"])
def test_what_no_node_asks_is_refused(query: str) -> None:
    """The bus is not asked then."""
    with pytest.raises(CallRefused):
        answer_fates(cast(Any, BusOfTest()), {"QUERY_STRING": query})


def test_the_client_of_another_node_has_to_have_the_right_to_publish() -> None:
    """By the scopes that the call is signed with."""

    class Closed(BusOfTest):
        tokens = Tokens({Scope.PUBLISH: (b"",)})

    asked = {"QUERY_STRING": "id=id-1&settle=5", ACCESS: Access(frozenset({Scope.SUBSCRIBE}))}
    with pytest.raises(CallRefused, match="may not publish"):
        answer_fates(cast(Any, Closed()), asked)
    asked[ACCESS] = Access(frozenset({Scope.PUBLISH}))
    assert answer_fates(cast(Any, Closed()), asked).ok


def test_a_journal_that_does_not_answer_is_no_answer() -> None:
    """The other node asks again."""

    class Unreadable(BusOfTest):
        class settling:  # noqa: N801 - as a bus has it
            @staticmethod
            def report(*_: Any) -> Any:
                raise JournalUnavailable("no disk")

    assert answer_fates(cast(Any, Unreadable()), {"QUERY_STRING": "id=id-1&settle=5"}).status.startswith("503")


@pytest.mark.parametrize(
    "body",
    [b"null", b"{", b"{}x", b'{"state":"odd"}', b"1", b"[]", json.dumps({"state": "dead", "group": None}).encode()],
)
def test_a_node_that_does_not_know_leaves_the_answer_incomplete(body: bytes) -> None:
    """Or whose answer is none."""
    found, _ = ask(b=RpcResponse("200 OK", (), body), c=RpcResponse("200 OK", (), b""))
    assert not found.complete
    assert found.fates == {}


def test_silence_and_subscriptions_without_a_node_leave_the_answer_incomplete() -> None:
    """As an error does."""
    good = RpcResponse("200 OK", (), b"")
    assert not ask(b=good)[0].complete
    assert not ask(b=good, c=RpcResponse("503 Service Unavailable", (), b""))[0].complete
    assert not ask(b=good, c=good, orphans=True)[0].complete
    assert ask(b=good, c=good)[0].complete
