"""So many subscribers on a host: by its name, and by the addresses that the name leads to."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import Address, parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import BadAddress, TooMany
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.override import override
from eventbus.core.settings import MEMORY, Settings
from eventbus.delivery.subscriber_hosts import SubscriberHosts
from eventbus.delivery.transport.base import AddressCheck
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, TAKEN
from tests.support.scripted import ScriptedTransport

EACH = 3
VICTIM = "192.168.0.9"
TAKES_A_WHILE = "slow.example"


class Resolving(ScriptedTransport):
    """Every name leads to the victim, unless another address is said."""

    def __init__(self) -> None:
        super().__init__()
        self.ips: dict[str, set[str]] = {}
        self.examined = 0

    @override
    def check_address(self, address: Address) -> AddressCheck:
        self.examined += 1
        if address.host == TAKES_A_WHILE:
            gevent.sleep(0)
        if address.host == "denied.example":
            return AddressCheck("No.")
        return AddressCheck(ips=frozenset(self.ips.get(address.host, {VICTIM})))


@pytest.fixture
def transport() -> Resolving:
    """Leads to the victim."""
    return Resolving()


@pytest.fixture
def later() -> list[float]:
    """Seconds by which the bus's clocks are ahead, each of them."""
    return []


@pytest.fixture
def bus(transport: Resolving, later: list[float]) -> Iterator[Bus]:
    """A bus that takes three to a host."""
    clock = Clock(lambda: time.monotonic() + sum(later), lambda: time.time() + sum(later))
    found = Bus(Settings(max_subscribers_per_host=EACH), SqliteJournal(MEMORY, clock), transport, clock)
    found.start()
    yield found
    found.stop()


def register(bus: Bus, *addresses: str, start: str | None = None, lease: float = 600) -> None:
    """Register them."""
    for address in addresses:
        bus.register(parse_address(address), Terms(lease=lease), start)


def test_names_that_lead_to_one_address_are_counted_together(bus: Bus, transport: Resolving) -> None:
    """Whatever they are called, and the address itself among them; what leads elsewhere is let in."""
    register(bus, "a.example", "b.example", f"{VICTIM}:8000")
    for address in ("c.example", f"{VICTIM}:8001", f"[::ffff:{VICTIM}]:8001", "https://d.example/path"):
        with pytest.raises(TooMany, match=f"There are 3 subscribers on {VICTIM}"):
            register(bus, address)
    transport.ips["e.example"] = {"192.168.0.8", VICTIM}
    with pytest.raises(TooMany, match=r"to which e\.example leads"):
        register(bus, "e.example")
    transport.ips["f.example"] = {"192.168.0.8"}
    register(bus, "f.example")


def test_who_leaves_makes_room(bus: Bus) -> None:
    """By name and by address, again and again; and nothing is remembered of who has left."""
    register(bus, "a.example", "b.example", "c.example")
    for number in range(10):
        bus.deregister("a.example" if not number else f"n{number - 1}.example")
        register(bus, f"n{number}.example")
        with pytest.raises(TooMany):
            register(bus, "z.example")
    for name in ("b", "c", "n9"):
        bus.deregister(f"{name}.example")
    assert len(bus.dispatcher.registry.hosts) == 0


def test_no_more_are_let_in_together_than_one_by_one(bus: Bus) -> None:
    """Names that are looked up at the same moment are counted when they begin."""
    together = [gevent.spawn(register, bus, f"{TAKES_A_WHILE}:{number}") for number in range(1, 20)]
    gevent.joinall(together)
    assert sum(each.successful() for each in together) == EACH


def test_what_was_refused_takes_no_place(bus: Bus) -> None:
    """Whatever the reason."""
    for _ in range(5):
        with pytest.raises(BadAddress):
            register(bus, "denied.example")
    register(bus, "a.example", "b.example", "c.example", start="earliest")
    assert bus.dispatcher.registry.hosts[VICTIM] == EACH


def test_who_comes_back_after_its_lease_is_examined_anew(bus: Bus, transport: Resolving, later: list[float]) -> None:
    """Where its name leads now counts, though the sweeper has not seen yet that the lease ended."""
    transport.ips["moves.example"] = {"192.168.0.8"}
    register(bus, "moves.example", lease=5)
    register(bus, "a.example", "b.example", "c.example")
    del transport.ips["moves.example"]
    register(bus, "moves.example", lease=5)  # a renewal looks nothing up
    later.append(10)
    with pytest.raises(TooMany, match=f"on {VICTIM}, to which moves.example leads"):
        register(bus, "moves.example")
    eventually(lambda: bus.dispatcher.registry.hosts["192.168.0.8"] == 0, 10)


def test_counts_are_those_of_who_is_there() -> None:
    """However they come and go, twice or never."""
    rng, hosts, there = random.Random(1), SubscriberHosts(), dict[str, set[str]]()  # noqa: S311 - any order
    for _ in range(2_000):
        key, places = str(rng.randrange(20)), {str(rng.randrange(5)) for _ in range(3)}
        if rng.random() < 0.5:
            hosts.add(key, places)
            there.setdefault(key, places)
        else:
            hosts.remove(key)
            there.pop(key, None)
        for place in range(5):
            assert hosts[str(place)] == sum(str(place) in each for each in there.values())
    for key in list(there):
        hosts.remove(key)
    assert len(hosts) == 0


def test_names_count_together_again_after_a_restart(transport: Resolving, tmp_path: Path) -> None:
    """A renewal has the name looked up that the former process had admitted, and does not wait for that."""
    names = [f"{number}.example:80" for number in range(EACH)]

    def start() -> Bus:
        found = Bus(Settings(max_subscribers_per_host=EACH), SqliteJournal(str(tmp_path / "bus.db")), transport)
        found.start()
        return found

    bus = start()
    register(bus, *names)
    bus.stop()
    bus = start()
    hosts = bus.dispatcher.registry.hosts
    assert (hosts[VICTIM], hosts["0.example"]) == (0, 1)
    register(bus, *names, *names)
    eventually(lambda: hosts[VICTIM] == EACH, 10)
    assert hosts["0.example"] == 1
    with pytest.raises(TooMany):
        register(bus, "another.example:80")
    bus.deregister(parse_address(names[0]).key)
    eventually(lambda: hosts[VICTIM] == EACH - 1, 10)
    bus.stop()


def test_a_name_that_does_not_resolve_is_looked_up_again() -> None:
    """Until something is found, each renewal may try; who has left meanwhile is not counted."""
    hosts = SubscriberHosts()
    hosts.add("a", {"a.example"}, resolved=False)
    assert [hosts.begin_resolving("a"), hosts.begin_resolving("a")] == [True, False]
    hosts.resolve("a", ())
    assert hosts.begin_resolving("a")
    hosts.resolve("a", {"10.0.0.1"})
    assert (hosts["10.0.0.1"], hosts["a.example"], hosts.begin_resolving("a")) == (1, 1, False)
    hosts.remove("a")
    hosts.resolve("a", {"10.0.0.1"})
    assert len(hosts) == 0


def test_names_that_lead_to_one_address_have_a_quarter_of_the_deliveries(transport: Resolving) -> None:
    """Subscribers that do not answer share it whatever they are called, and whether by http or https."""
    bus = Bus(Settings(max_in_flight=16), SqliteJournal(MEMORY), transport)
    bus.start()
    for number in range(20):
        address = f"{('http', 'https')[number % 2]}://name-{number}.example:{8000 + number}"
        bus.register(parse_address(address), Terms(lease=600))
    transport.ips["other.example"] = {"192.168.0.10"}
    other = bus.register(parse_address("other.example:8000"), Terms(lease=600)).lane
    bus.publish([Message(new_event_id(), None, b"", b"", EPOCH)])
    eventually(lambda: other.subscriber.key in {attempt.key for attempt in transport.held}, 10)
    assert len(transport.held) == 5
    assert {attempt.key.startswith("https:") for attempt in transport.held} == {True, False}
    transport.always = TAKEN
    transport.answer(list(transport.held), TAKEN)
    eventually(lambda: sum(transport.taken.values()) == 21, 10)
    bus.stop()
