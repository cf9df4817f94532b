"""How many subscribers there may be: one more is answered 429, and those that are there notice nothing."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.support.answers import TEXT, assert_problem, assert_says
from tests.support.caller import JSON, Caller, cleaning_caller, register_target
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

ALL, EACH = 8, 5
SETTINGS = {"EVENTBUS_MAX_SUBSCRIBERS": str(ALL), "EVENTBUS_MAX_SUBSCRIBERS_PER_HOST": str(EACH)}
FULL = f"There are {ALL} subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS)."
HOST_FULL = "There are {} subscribers on {}; no more are let in there (EVENTBUS_MAX_SUBSCRIBERS_PER_HOST)."


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with small limits."""
    with BusServer(tmp_path_factory.mktemp("limited"), SETTINGS) as bus:
        yield bus


@pytest.fixture
def caller(limited: BusServer) -> Iterator[Caller]:
    """Calls that bus, and leaves it without subscribers."""
    with cleaning_caller(limited.port) as found:
        yield found


def let_in(caller: Caller, address: str) -> None:
    """Register a new address. So many on one host are let in a second, which is not what these tests ask."""
    eventually(lambda: caller.call("POST", register_target(address)).status == 200, 10)


def fill(caller: Caller, host: str, count: int) -> list[str]:
    """Register so many addresses on this host."""
    addresses = [f"{host}:{number}" for number in range(1, count + 1)]
    for address in addresses:
        let_in(caller, address)
    return addresses


def test_one_more_on_a_host_is_refused(caller: Caller) -> None:
    """A host's next subscriber is answered 429 with the setting and when to try again; another host's is let in."""
    fill(caller, "10.0.0.1", EACH)
    response = caller.call("POST", register_target("10.0.0.1:99"))
    assert_says(response, 429, f"Error:{HOST_FULL.format(EACH, '10.0.0.1')}")
    assert int(response.header("Retry-After") or "") > 0
    assert caller.register("10.0.0.2:99")["created"] is True
    assert not caller.listed("10.0.0.1:99")


def test_one_more_on_the_bus_is_refused(caller: Caller) -> None:
    """The bus's next subscriber is answered 429, whatever host it is on."""
    fill(caller, "10.0.0.1", EACH)
    fill(caller, "10.0.0.2", ALL - EACH)
    response = caller.call("POST", register_target("10.0.0.3"))
    assert_says(response, 429, f"Error:{FULL}")
    assert (response.header("Content-Type"), len(caller.subscribers())) == (TEXT, ALL)


def test_a_refusal_is_a_problem_for_who_accepts_json(caller: Caller) -> None:
    """With ``Accept: application/json`` 429 is a problem (RFC 9457), with ``Retry-After``."""
    fill(caller, "10.0.0.1", EACH)
    response = caller.call("POST", register_target("10.0.0.1:99"), [JSON])
    assert assert_problem(response, 429)["detail"] == HOST_FULL.format(EACH, "10.0.0.1")
    assert response.header("Retry-After")


def test_who_is_there_may_renew(caller: Caller) -> None:
    """At the limit a subscriber that is registered renews, and changes its options, in any spelling of its address."""
    first, *_ = fill(caller, "10.0.0.1", EACH)
    for address in (first, f"HTTP://{first}/"):
        assert caller.register(address, topic="a.b")["created"] is False


def test_all_spellings_of_a_host_are_one(caller: Caller) -> None:
    """Case, a last dot and the path make no other host."""
    for number, spelling in enumerate(["a.example", "A.example", "a.Example.", "a.example"], 1):
        let_in(caller, f"{spelling}:{number}/{number}")
    let_in(caller, "https://a.example")
    assert caller.call("POST", register_target("a.example:99")).status == 429


def test_a_place_that_is_left_may_be_taken(caller: Caller) -> None:
    """Deregistering makes room, on the host and on the bus, again and again."""
    first, *_ = fill(caller, "10.0.0.1", EACH)
    fill(caller, "10.0.0.2", ALL - EACH)
    for number in range(8_100, 8_110):
        caller.deregister(first)
        first = f"10.0.0.1:{number}"
        let_in(caller, first)
    assert caller.call("POST", register_target("10.0.0.1:99")).status == 429


def test_a_refused_address_takes_no_place(caller: Caller) -> None:
    """An address that may not be delivered to, and options that cannot be, leave the count as it is."""
    for _ in range(ALL + 1):
        assert caller.call("POST", register_target("169.254.169.254")).status == 400
        assert caller.call("POST", register_target("10.0.0.1", lease=1)).status == 400
    fill(caller, "10.0.0.1", EACH)


@pytest.mark.parametrize(
    "host", ["10.0.0.8", "localhost"]
)  # used by no other test: so many new ones a second are let in
def test_no_more_are_let_in_together_than_one_by_one(caller: Caller, host: str) -> None:
    """Registrations at the same moment are counted as well: so many are let in as there is room for."""
    together = [
        gevent.spawn(caller.call, "POST", register_target(f"{host}:{number}")) for number in range(8_001, 8_041)
    ]
    gevent.joinall(together, timeout=30)
    assert Counter(call.value.status for call in together) == {200: EACH, 429: 40 - EACH}
    assert len(caller.subscribers()) == EACH


def test_one_address_at_the_same_moment_takes_one_place(caller: Caller) -> None:
    """However often an address registers at once, it is one subscriber."""
    together = [gevent.spawn(caller.call, "POST", register_target("127.0.0.9:9")) for _ in range(40)]
    gevent.joinall(together, timeout=30)
    assert {call.value.status for call in together} == {200}
    fill(caller, "127.0.0.9", EACH - 1)
    assert caller.call("POST", register_target("127.0.0.9:99")).status == 429


def test_events_reach_who_is_there_at_the_limit(caller: Caller) -> None:
    """A full bus delivers as ever."""
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address)
        for number in range(1, ALL):
            caller.register(f"10.0.0.{number}:9", topic="never.published")
        assert caller.call("POST", register_target("10.0.0.99")).status == 429
        subscriber.wait_for_ids([caller.publish() for _ in range(20)])


def test_a_place_that_is_kept_counts_and_one_that_is_not_is_free(tmp_path: Path) -> None:
    """A lease that ends makes room, unless its place is kept: then that stays its own, also after a restart."""
    settings = {"EVENTBUS_MAX_SUBSCRIBERS": "2", "EVENTBUS_SWEEP_SECONDS": "0.1"}
    with BusServer(tmp_path, settings) as bus:
        caller = Caller(bus.port)
        caller.register("10.0.0.1", lease=5, resume=True)
        caller.register("10.0.0.2", lease=5)
        assert caller.call("POST", register_target("10.0.0.3")).status == 429
        eventually(lambda: not caller.subscribers(), 15)
        eventually(lambda: caller.call("POST", register_target("10.0.0.3", lease=600)).status == 200, 15)
        assert caller.call("POST", register_target("10.0.0.4")).status == 429
        bus.terminate()
        bus.start()
        assert caller.call("POST", register_target("10.0.0.4")).status == 429
        assert caller.register("10.0.0.1")["created"] is True
        assert caller.call("POST", register_target("10.0.0.4")).status == 429


def test_each_member_counts_and_so_does_a_group_whose_place_is_kept(tmp_path: Path) -> None:
    """A group is as many subscribers as it has members, and one when it has none but will go on."""
    with BusServer(tmp_path, {"EVENTBUS_MAX_SUBSCRIBERS": "2"}) as bus:
        caller = Caller(bus.port)
        caller.register("10.0.0.1", group="mailer", resume=True)
        caller.register("10.0.0.2", group="mailer")
        assert caller.call("POST", register_target("10.0.0.3", group="mailer")).status == 429
        assert caller.call("POST", register_target("10.0.0.3")).status == 429
        caller.deregister("10.0.0.1")
        caller.deregister("10.0.0.2")
        assert caller.register("10.0.0.3")["created"] is True
        assert caller.call("POST", register_target("10.0.0.4")).status == 429
        bus.terminate()
        bus.start()
        assert caller.call("POST", register_target("10.0.0.4")).status == 429


def test_a_lower_limit_lets_those_stay_that_are_there(tmp_path: Path) -> None:
    """A restart with a lower limit drops nobody: it lets nobody in until there is room."""
    with BusServer(tmp_path) as bus:
        addresses = fill(Caller(bus.port), "10.0.0.1", 3)
        bus.terminate()
    with BusServer(tmp_path, {"EVENTBUS_MAX_SUBSCRIBERS": "2"}) as bus:
        caller = Caller(bus.port)
        assert [caller.register(address)["created"] for address in addresses] == [False] * 3
        assert caller.call("POST", register_target("10.0.0.2")).status == 429
        for address in addresses[:2]:
            caller.deregister(address)
        assert caller.register("10.0.0.2")["created"] is True
