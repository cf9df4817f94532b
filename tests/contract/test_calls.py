"""Calls between nodes, over a real Redis: each is handled once or not at all, and its caller is told which."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import gevent
import pytest
from gevent.event import Event as Signal

from eventbus.core.errors import JournalUnavailable, NodeTimeout, NotAccepted
from eventbus.journal.redis.cluster.calls import MAX_BYTES, MAX_CONCURRENT_CALLS, MAX_WAITING_CALLS, Calls
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.timing import RedisTiming
from tests.support.deadline import eventually
from tests.support.in_process_nodes import in_process_nodes
from tests.support.redis_server import NEEDS_REDIS, RedisServer

pytestmark = NEEDS_REDIS
#: Seconds that a call may take which is answered.
LONG = 20.0
#: Seconds for calls that are not.
SHORT = 0.2

#: Nodes check often whether the one that they call is still the one to call.
OFTEN = RedisTiming(call_check_seconds=0.02)

Start = Callable[["str | Node", Callable[[bytes], bytes]], Calls]


@dataclass(slots=True)
class Node:
    """A node by its name, which may change."""

    id: str


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests here, which need no disk."""
    with RedisServer(tmp_path_factory.mktemp("calls"), durable=False) as found:
        yield found


@pytest.fixture
def start(redis: RedisServer) -> Iterator[Start]:
    """Starts nodes by their names and what they answer; they stop with the test."""
    with ExitStack() as nodes:

        def begin(name: str | Node, handler: Callable[[bytes], bytes]) -> Calls:
            calls = Calls(redis.url, name if isinstance(name, Node) else Node(name), OFTEN)
            calls.start(handler)
            nodes.callback(calls.stop)
            return calls

        yield begin
    redis.ask("FLUSHALL")


def echo(request: bytes) -> bytes:
    """Answers what is asked."""
    return request


def kept(redis: RedisServer) -> bytes:
    """What Redis holds."""
    return redis.ask("KEYS", "*")


def test_a_node_is_asked_and_answers(start: Start) -> None:
    """A request reaches the node that is meant, and its answer comes back, any bytes, and none."""
    first = start("first", lambda request: b"first " + request)
    second = start("second", lambda request: b"second " + request)
    assert first.call("second", bytes(range(256)), LONG) == b"second " + bytes(range(256))
    assert second.call("first", b"", LONG) == b"first "
    assert first.call("first", b"itself", LONG) == b"first itself"


def test_calls_that_cannot_be_read_are_told_of(
    start: Start, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Where Redis answers a read with an error, one warning says so, and calls are answered once that is over."""
    other = keys.calls("second")
    redis.ask("SET", other, "foreign")
    first = start("first", echo)
    start("second", echo)
    eventually(lambda: "calls of other nodes cannot be read: WRONGTYPE" in caplog.text, LONG)
    gevent.sleep(2.5 * RedisTiming().retry_delay_seconds)  # what is tested is that it is told once
    redis.ask("DEL", other)
    assert first.call("second", b"now", LONG) == b"now"
    assert caplog.text.count("cannot be read") == 1


def test_many_calls_at_once_each_get_their_own_answer(start: Start) -> None:
    """Several hundred calls under way together are all answered, each with what belongs to it."""
    nodes = [start(name, echo) for name in ("first", "second")]
    requests = [b"%d" % number for number in range(300)]
    asked = [gevent.spawn(nodes[number % 2].call, "second", request, LONG) for number, request in enumerate(requests)]
    assert [each.get(timeout=LONG) for each in asked] == requests


def test_so_many_calls_are_handled_at_once_and_no_more(start: Start) -> None:
    """A node works on a bounded number of calls; the others wait, and are answered then."""
    go, under_way, most = Signal(), 0, 0

    def slow(request: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        go.wait()
        under_way -= 1
        return request

    node = start("node", slow)
    asked = [gevent.spawn(node.call, "node", b"%d" % number, LONG) for number in range(MAX_CONCURRENT_CALLS + 20)]
    eventually(lambda: under_way == MAX_CONCURRENT_CALLS, LONG)
    go.set()
    assert [each.get(timeout=LONG) for each in asked] == [b"%d" % number for number in range(MAX_CONCURRENT_CALLS + 20)]
    assert most == MAX_CONCURRENT_CALLS


def test_a_large_request_and_its_answer_come_through_whole(start: Start) -> None:
    """As many bytes as may be are carried both ways; one more is refused, be it the request's or the answer's."""
    node = start("node", lambda request: b"x" * (MAX_BYTES + 1) if request == b"more" else request)
    largest = bytes(range(256)) * (MAX_BYTES // 256)
    assert node.call("node", largest, LONG) == largest
    with pytest.raises(NodeTimeout, match=f"at most {MAX_BYTES} bytes, not {MAX_BYTES + 1}"):
        node.call("node", largest + b"x", LONG)
    with pytest.raises(NodeTimeout, match="its answer would have"):
        node.call("node", b"more", LONG)


def test_a_node_that_is_not_there_is_silent_and_leaves_nothing(start: Start, redis: RedisServer) -> None:
    """Who calls a node that has ended is told so in time, and Redis keeps nothing of it."""
    node = start("node", echo)
    with pytest.raises(NodeTimeout, match=r"did not answer within 0\.2 s"):
        node.call("gone", b"anybody?", SHORT)
    eventually(lambda: kept(redis) == b"*0\r\n", LONG)


def test_a_call_whose_caller_gave_up_is_not_handled(start: Start) -> None:
    """A node that comes late finds nothing to do of what nobody waits for any more."""
    handled: list[bytes] = []

    def note(request: bytes) -> bytes:
        handled.append(request)
        return request

    node = start("node", echo)
    late = gevent.spawn(expect_silence, lambda: node.call("late", b"in vain", SHORT))
    patient = gevent.spawn(node.call, "late", b"patient", LONG)
    assert late.get(timeout=LONG)
    start("late", note)
    assert patient.get(timeout=LONG) == b"patient"
    assert handled == [b"patient"]


def test_a_call_is_taken_back_where_its_node_is_not_the_one_to_ask(start: Start) -> None:
    """A call that no node has taken when another is the one to ask is known to be not done, and never is."""
    handled: list[bytes] = []

    def note(request: bytes) -> bytes:
        handled.append(request)
        return request

    node = start("node", echo)
    with pytest.raises(NotAccepted):
        node.call("late", b"taken back", LONG, lambda: False)
    start("late", note)
    assert node.call("late", b"next", LONG) == b"next"
    assert handled == [b"next"]


@pytest.mark.parametrize("trouble", [None, JournalUnavailable("The journal does not tell.")])
def test_a_call_that_was_taken_is_waited_for(start: Start, trouble: Exception | None) -> None:
    """Who has a call may still answer it though another is the one to ask by now, or nobody can tell who is."""
    looked, entered, go = Counter[bool](), Signal(), Signal()

    def slow(request: bytes) -> bytes:
        entered.set()
        go.wait()
        return request

    def stands() -> bool:
        looked[entered.is_set()] += 1
        if trouble is not None:
            raise trouble
        return not entered.is_set()

    node = start("node", slow)
    asked = gevent.spawn(node.call, "node", b"slow", LONG, stands)
    eventually(lambda: looked[True] > 1, LONG)
    go.set()
    assert asked.get(timeout=LONG) == b"slow"


def test_an_answer_that_comes_late_is_nobodys(start: Start, redis: RedisServer) -> None:
    """The answer to a call that was given up is dropped, and no other call gets it."""
    go, entered = Signal(), Signal()

    def slow_once(request: bytes) -> bytes:
        if request == b"slow":
            entered.set()
            go.wait()
        return request

    node = start("node", slow_once)
    slow = gevent.spawn(expect_silence, lambda: node.call("node", b"slow", SHORT))
    assert entered.wait(LONG)
    assert slow.get(timeout=LONG)
    go.set()
    assert node.call("node", b"next", LONG) == b"next"
    eventually(lambda: kept(redis) == b"*0\r\n", LONG)


def test_a_node_that_has_too_much_to_answer_is_not_asked(start: Start) -> None:
    """Past so many calls that wait for a node, one more is refused at once."""
    node = start("node", echo)
    asked = [gevent.spawn(expect_silence, lambda: node.call("gone", b"?", LONG)) for _ in range(MAX_WAITING_CALLS)]
    refused = gevent.spawn(until_refused, node)
    assert "calls to answer first" in refused.get(timeout=LONG)
    gevent.killall(asked)


def test_a_handler_that_fails_is_told_to_the_caller(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Where the node that is called fails, its caller need not wait, and its log says more."""

    def broken(_: bytes) -> bytes:
        raise ValueError("a mistake")

    node = start("node", broken)
    with pytest.raises(NodeTimeout, match="internal error"):
        node.call("node", b"?", LONG)
    assert "a mistake" in caplog.text


def test_a_node_that_stops_ends_what_is_under_way(start: Start, redis: RedisServer) -> None:
    """A node that stops answers what it is working on, and gives up what it waits for."""
    asking, answering = Calls(redis.url, Node("asking")), Calls(redis.url, Node("answering"))
    entered, go = Signal(), Signal()

    def slow(request: bytes) -> bytes:
        entered.set()
        go.wait()
        return request

    asking.start(echo)
    answering.start(slow)
    answered = gevent.spawn(asking.call, "answering", b"under way", LONG)
    waiting = gevent.spawn(expect_silence, lambda: answering.call("gone", b"?", LONG))
    assert entered.wait(LONG)
    stopping = gevent.spawn(answering.stop)
    go.set()
    assert answered.get(timeout=LONG) == b"under way"
    stopping.get(timeout=LONG)
    assert "stopping" in waiting.get(timeout=LONG)
    asking.stop()


def test_a_node_may_change_its_name(start: Start) -> None:
    """A node that goes on under another name is asked by that one, and its own calls are answered."""
    renamed = Node("old")
    other, node = start("other", echo), start(renamed, lambda request: b"renamed " + request)
    renamed.id = "new"
    assert other.call("new", b"you", LONG) == b"renamed you"
    assert node.call("other", b"and you", LONG) == b"and you"


def test_without_redis_a_call_fails_and_later_ones_come_through(tmp_path: Path) -> None:
    """While Redis is away a call fails as the journal does; when it is back nodes answer each other again."""
    redis = RedisServer(tmp_path, durable=False)
    with redis:
        node = Calls(redis.url, Node("node"))
        node.start(echo)
        assert node.call("node", b"before", LONG) == b"before"
        redis.kill()
        with pytest.raises(JournalUnavailable, match="cannot carry a call"):
            node.call("node", b"meanwhile", LONG)
        redis.start()
        assert eventually(lambda: answered(node, b"after"), LONG)
        node.stop()


def test_a_call_that_redis_takes_too_late_is_not_handled(tmp_path: Path) -> None:
    """What hung on its way while Redis was stopped is not done afterwards, when its caller was told that it failed."""
    handled: list[bytes] = []

    def note(request: bytes) -> bytes:
        handled.append(request)
        return request

    with RedisServer(tmp_path, durable=False) as redis:
        node = Calls(redis.url, Node("node"), RedisTiming(answer_seconds=1.0))
        node.start(note)
        assert node.call("node", b"before", LONG) == b"before"
        redis.stop()
        with pytest.raises((JournalUnavailable, NodeTimeout)):
            node.call("node", b"too late", SHORT)
        redis.go_on()
        assert eventually(lambda: answered(node, b"after"), LONG)
        node.stop()
    assert b"too late" not in handled


def test_where_redis_has_no_memory_nodes_still_ask_each_other(start: Start, redis: RedisServer) -> None:
    """At ``maxmemory`` calls come through: by them dead letters are discarded, and memory freed."""
    node = start("node", echo)
    assert redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"
    try:
        assert node.call("node", b"all the same", LONG) == b"all the same"
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")


def test_a_request_to_one_node_is_answered_by_another(start: Start) -> None:
    """What a client asks of any node about a subscriber comes from the node that has it, by way of Redis."""
    with in_process_nodes("here", "there") as (here, there):
        start("there", there.forwarding.answer)
        here.call = start("here", here.forwarding.answer).call
        here.owners["127.0.0.1:8002"] = "there"
        assert here.ask("POST", "/registerAndKeepAlive?address=127.0.0.1:8002").text == "success"
        assert list(there.bus.dispatcher.lanes) == ["127.0.0.1:8002"]
        listed = here.ask("GET", "/listSubscribers")
        assert (listed.text[:14], listed.headers["Eventbus-Nodes"]) == ("127.0.0.1:8002", "2 of 2")


def expect_silence(call: Callable[[], bytes]) -> str:
    """What the error says that a call without an answer ends with."""
    with pytest.raises(NodeTimeout) as silent:
        while not connected(call):
            pass
    return str(silent.value)


def connected(call: Callable[[], bytes]) -> bool:
    """Call, unless all connections to Redis stay in use for too long, as on a busy machine where many call at once."""
    try:
        call()
    except JournalUnavailable as error:
        if "No connection available" not in str(error):
            raise
        return False
    return True


def answered(node: Calls, request: bytes) -> bool:
    """Whether a node answers itself."""
    try:
        return node.call("node", request, SHORT) == request
    except (JournalUnavailable, NodeTimeout):
        return False


def until_refused(node: Calls) -> str:
    """Call one that does not answer until it is refused; what the refusal says."""
    while "first" not in (said := expect_silence(lambda: node.call("gone", b"?", SHORT))):
        pass
    return said
