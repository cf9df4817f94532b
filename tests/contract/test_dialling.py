"""What is dialled: the addresses that were checked, whatever a name says the next moment."""

import socket
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.networks import NetworkRules, rules_of
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport import Dialer, SessionTransport, TransportTiming
from eventbus.delivery.transport.dialer import MAX_ADDRESSES, MAX_LOOKUPS, MAX_UNKNOWN_LOOKUPS
from tests.support.deadline import eventually
from tests.support.events import event
from tests.support.lanes import EPOCH
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_server import RawServer, always
from tests.support.resolver import BAD, GOOD, OK, Both, Resolver, has_ipv6

#: A name that is not found is not looked up again.
NEVER_AGAIN = TransportTiming(not_found_factor=1e9, max_not_found=1e9)
RULES = rules_of(f"{BAD}/32", "")
METADATA = "169.254.169.254"
ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def names() -> Iterator[Resolver]:
    """The names that there are."""
    resolver = Resolver()
    yield resolver
    resolver.speak()
    eventually(lambda: resolver.busy == 0, 10)


@pytest.fixture
def both() -> Iterator[Both]:
    """Listens on both."""
    with Both() as listening:
        yield listening


#: Makes an attempt at an address through a dialler.
Post = Callable[[Dialer, str], DeliveryResponse]


def by_http(dialer: Dialer, address: str, timeout: float = 5) -> DeliveryResponse:
    """Make an attempt at an address, through a dialler."""
    transport = SessionTransport(dialer)
    subscriber = Subscriber(parse_address(address), Options(timeout=timeout))
    try:
        return transport.route(subscriber).post(event(), 1, time.monotonic(), EPOCH)
    finally:
        transport.close()


@pytest.fixture
def post() -> Post:
    """Makes attempts."""
    return by_http


# What may be dialled


@pytest.mark.parametrize("address", [METADATA, f"[::ffff:{METADATA}]", "[64:ff9b::a9fe:a9fe]", "0.1.2.3", "[fe80::1]"])
def test_an_address_that_is_denied_is_not_dialled(post: Post, address: str) -> None:
    """An attempt at an address that nobody may be sent to fails at once, and says that it is not allowed."""
    said = post(Dialer(NetworkRules()), f"{address}:80")
    assert said.status is None
    assert said.error.startswith("not allowed: ")
    assert "link-local" in said.error or "unspecified" in said.error


@pytest.mark.parametrize("found", [[BAD, GOOD], [GOOD, BAD], [METADATA, GOOD], ["::ffff:127.0.0.2", GOOD, GOOD]])
def test_a_name_with_a_good_and_a_bad_address_uses_the_good(
    post: Post, names: Resolver, both: Both, found: list[str]
) -> None:
    """Of a name's addresses, those that are denied are passed over, wherever they stand."""
    names.knows("mixed.example", found)
    dialer = Dialer(RULES, getaddrinfo=names)
    assert dialer.check_address("mixed.example", both.port).reason is None
    assert post(dialer, f"mixed.example:{both.port}") == DeliveryResponse(200)
    assert both.connections == {GOOD: 1}


def test_it_is_told_where_a_name_leads(names: Resolver) -> None:
    """What may be dialled, each under the address that it stands for too; of very many no more than are dialled."""
    names.knows("many.example", [GOOD, BAD, "::ffff:127.0.0.2", "64:ff9b::a00:1"])
    names.knows("endless.example", [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(1_000)])
    dialer = Dialer(RULES, getaddrinfo=names)
    expected = {GOOD, "127.0.0.2", "64:ff9b::a00:1", "10.0.0.1"} - {BAD}
    assert dialer.check_address("many.example", 8_000).ips == expected
    assert dialer.check_address("::ffff:10.0.0.1", 8_000).ips == {"10.0.0.1"}
    assert dialer.check_address("unknown.example", 8_000).ips == frozenset()
    assert len(dialer.check_address("endless.example", 8_000).ips) == MAX_ADDRESSES


def test_a_name_with_bad_addresses_alone_is_not_dialled(post: Post, names: Resolver, both: Both) -> None:
    """A name that leads nowhere but to what is denied is refused when it is checked, and when it is dialled."""
    names.knows("bad.example", [BAD, METADATA])
    dialer = Dialer(RULES, getaddrinfo=names)
    assert (dialer.check_address("bad.example", both.port).reason or "").startswith(BAD)
    assert post(dialer, f"bad.example:{both.port}").error.startswith(f"not allowed: {BAD} is in a network")
    assert not both.connections


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_changes_after_its_check_is_caught(names: Resolver, both: Both, scheme: str) -> None:
    """A name that was good when it registered, and leads to what is denied when it is dialled, is not dialled."""
    names.knows("rebind.example", [GOOD], [BAD])
    dialer = Dialer(RULES, getaddrinfo=names)
    assert dialer.check_address("rebind.example", both.port).reason is None
    said = by_http(dialer, f"{scheme}://rebind.example:{both.port}")
    assert (said.status, said.error.split(":")[0]) == (None, "not allowed")
    assert (names.asked["rebind.example"], both.connections) == (2, {})


def test_https_dials_the_address_that_was_checked(names: Resolver, both: Both) -> None:
    """A name that is looked up once for an attempt is dialled by that answer: it cannot change in between."""
    names.knows("twice.example", [GOOD], [BAD])
    said = by_http(Dialer(RULES, getaddrinfo=names), f"https://twice.example:{both.port}")
    assert said.status is None  # what listens there speaks no TLS
    assert (names.asked["twice.example"], both.connections) == (1, {GOOD: 1})


def test_the_next_address_is_dialled_where_one_refuses(post: Post, names: Resolver) -> None:
    """Where nobody listens on a name's first address, the second is dialled."""
    names.knows("two.example", ["127.0.0.3", GOOD])
    with RawServer(always(OK)) as server:
        assert post(Dialer(NetworkRules(), getaddrinfo=names), f"two.example:{server.port}") == DeliveryResponse(200)


@ipv6
def test_ipv6_is_dialled_as_well(post: Post, names: Resolver) -> None:
    """A subscriber on IPv6 is reached by its name and by its address."""
    names.knows("six.example", ["::1"])
    port, served = free_port(), []
    with socket.create_server(("::1", port), family=socket.AF_INET6) as listener:

        def accept() -> None:
            while True:
                connection, peer = listener.accept()
                served.append(peer[0])
                with connection:
                    connection.recv(65_536)
                    connection.sendall(OK)

        accepting = gevent.spawn(accept)
        try:
            for host in ("[::1]", "six.example"):
                assert post(Dialer(NetworkRules(), getaddrinfo=names), f"{host}:{port}") == DeliveryResponse(200)
        finally:
            accepting.kill()
    assert served == ["::1", "::1"]


# The bus itself


@pytest.mark.parametrize(
    "host", [LOOPBACK, "127.0.0.7", "[::ffff:127.0.0.1]", pytest.param("[::1]", marks=ipv6), "self.example"]
)
def test_the_bus_is_no_subscriber_of_its_own(post: Post, names: Resolver, host: str) -> None:
    """The bus's own port on any of this machine's addresses is refused when it is checked, and when it is dialled."""
    names.knows("self.example", [LOOPBACK, "127.0.0.9"])
    with RawServer(always(OK)) as server:
        dialer = Dialer(NetworkRules(), [("", server.port)], getaddrinfo=names)
        assert "is the bus itself" in (dialer.check_address(host.strip("[]"), server.port).reason or "")
        assert "is the bus itself" in post(dialer, f"{host}:{server.port}").error
        assert server.connections == 0


def test_a_name_that_comes_to_lead_to_the_bus_is_caught(post: Post, names: Resolver, both: Both) -> None:
    """A name that leads to the bus only after it was checked is caught when it is dialled."""
    names.knows("turns.example", ["198.51.100.1", "10.0.0.1"], [LOOPBACK])
    dialer = Dialer(NetworkRules(), [("::", both.port)], getaddrinfo=names)
    assert dialer.check_address("turns.example", both.port).reason is None
    assert "is the bus itself" in post(dialer, f"turns.example:{both.port}").error
    assert not both.connections


def test_other_ports_and_other_machines_are_not_the_bus() -> None:
    """The same number on another machine, and another number on this one, are no reason to refuse."""
    dialer = Dialer(NetworkRules(), [("0.0.0.0", 3_000)])  # noqa: S104
    assert dialer.check_address("10.255.255.1", 3_000).reason is None
    assert dialer.check_address(LOOPBACK, 3_001).reason is None


@pytest.mark.parametrize(
    ("bound", "refused", "taken"),
    [
        ([(LOOPBACK, 3_000)], [(LOOPBACK, 3_000), ("::ffff:127.0.0.1", 3_000)], [("127.0.0.2", 3_000), ("::1", 3_000)]),
        ([("::1", 3_000)], [("::1", 3_000)], [(LOOPBACK, 3_000)]),
        ([("", 3_000), (LOOPBACK, 4_000)], [("127.0.0.2", 3_000), (LOOPBACK, 4_000)], [("127.0.0.2", 4_000)]),
        ([], [], [(LOOPBACK, 3_000)]),
    ],
)
def test_the_bus_is_where_it_listens(
    bound: list[tuple[str, int]], refused: list[tuple[str, int]], taken: list[tuple[str, int]]
) -> None:
    """One that listens on one address leaves the port's others to services; one on a Unix socket all of them."""
    dialer = Dialer(NetworkRules(), bound)
    assert all("is the bus itself" in (dialer.check_address(*there).reason or "") for there in refused)
    assert [dialer.check_address(*there).reason for there in taken] == [None] * len(taken)


def test_a_port_of_another_protocol_is_neither_looked_up_nor_dialled(post: Post) -> None:
    """Unless it is allowed; then it is a port like others."""
    dialer = Dialer(NetworkRules(), allow_ports=frozenset({6_379}))
    for host in ("unknown.example", LOOPBACK):
        assert (dialer.check_address(host, 25).reason or "").startswith("Port 25 is that of SMTP")
    assert post(dialer, f"{LOOPBACK}:25").error.startswith("not allowed: Port 25")
    assert dialer.check_address(LOOPBACK, 6_379).reason is None


# Looking names up


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "not known"), OSError("no resolver"), []])
def test_a_name_without_an_address_may_register_and_is_down(
    post: Post, names: Resolver, error: Exception | list[str]
) -> None:
    """A name that is not known yet is let in; an attempt at it fails as at anyone who is away."""
    names.knows("new.example", error)
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    assert dialer.check_address("new.example", 80).reason is None
    said = post(dialer, "new.example:80")
    assert (said.status, said.error.partition(":")[0]) == (None, "connection failed")


def test_a_name_is_looked_up_once_for_all_who_wait(names: Resolver) -> None:
    """Whoever asks for a name while it is being looked up waits for that answer."""
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    waiting = [gevent.spawn(_outcome, dialer, "slow.example") for _ in range(20)]
    eventually(lambda: names.busy, 10)
    names.speak()
    gevent.joinall(waiting, timeout=10)
    assert [waiter.value for waiter in waiting] == ["OSError"] * 20
    assert names.asked == {"slow.example": 1}


def test_a_name_that_is_found_is_looked_up_for_each_connection(names: Resolver) -> None:
    """No answer is kept that a name had, so that who moves is followed."""
    names.knows("moves.example", [METADATA], [BAD], [METADATA])
    dialer = Dialer(RULES, getaddrinfo=names)
    said = [dialer.check_address("moves.example", 80).reason or "" for _ in range(3)]
    assert [reason.split(" ")[0] for reason in said] == [METADATA, BAD, METADATA]


def test_a_name_that_is_not_found_is_left_alone_for_a_while(names: Resolver) -> None:
    """A lookup that found nothing is not made again at once."""
    dialer = Dialer(NetworkRules(), getaddrinfo=names, timing=NEVER_AGAIN)
    names.speak()
    assert all(_outcome(dialer, "gone.example") != "" for _ in range(5))
    assert names.asked["gone.example"] == 1


def test_a_name_that_was_not_found_is_looked_up_again_later(names: Resolver) -> None:
    """A name that gets an address after it was asked for in vain is found."""
    names.knows("late.example", socket.gaierror(socket.EAI_NONAME, "not known"), [METADATA])
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    assert _outcome(dialer, "late.example") == "OSError"
    eventually(lambda: _outcome(dialer, "late.example") == "NotAllowed", 10)


def test_a_name_that_is_not_found_keeps_nothing_of_its_attempts(names: Resolver) -> None:
    """What is remembered of a name without an address does not grow with the attempts at it."""
    dialer = Dialer(NetworkRules(), getaddrinfo=names, timing=NEVER_AGAIN)
    names.speak()
    assert _outcome(dialer, "gone.example")
    depths = []
    for _ in range(20):
        with pytest.raises(OSError, match="not known") as raised:
            dialer.connect("gone.example", 80)
        depths.append(len(raised.traceback))
    assert names.asked["gone.example"] == 1
    assert depths[0] == depths[-1]


def test_names_that_never_resolve_hold_no_other_up(post: Post, names: Resolver, both: Both) -> None:
    """While 50 names are asked for in vain, another one that was found before is looked up and delivered to."""
    names.knows("fast.example", [GOOD])
    dialer = Dialer(RULES, getaddrinfo=names)
    assert dialer.check_address("fast.example", both.port).reason is None
    stuck = [gevent.spawn(_outcome, dialer, f"dead-{number}.example") for number in range(50)]
    eventually(lambda: names.busy == MAX_UNKNOWN_LOOKUPS, 10)
    assert post(dialer, f"fast.example:{both.port}") == DeliveryResponse(200)
    assert names.busy == MAX_UNKNOWN_LOOKUPS
    names.speak()
    gevent.joinall(stuck, timeout=10)


def test_a_new_name_is_looked_up_beside_40_that_never_resolve(post: Post, names: Resolver, both: Both) -> None:
    """A name that was never asked for before is found while 40 others are asked for in vain."""
    names.knows("new.example", [GOOD])
    dialer = Dialer(RULES, getaddrinfo=names)
    stuck = [gevent.spawn(_outcome, dialer, f"dead-{number}.example") for number in range(40)]
    eventually(lambda: names.busy == 40, 10)
    assert post(dialer, f"new.example:{both.port}") == DeliveryResponse(200)
    names.speak()
    gevent.joinall(stuck, timeout=10)


def test_names_that_were_never_found_take_three_quarters_of_the_threads(names: Resolver) -> None:
    """However many names are asked for in vain, 48 lookups are made at once, and who is beyond is told at once."""
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    waiting = [gevent.spawn(_outcome, dialer, f"name-{number}.example") for number in range(100)]
    eventually(lambda: names.busy == MAX_UNKNOWN_LOOKUPS == 48, 10)
    eventually(lambda: sum(waiter.ready() for waiter in waiting) == 52, 10)
    names.speak()
    gevent.joinall(waiting, timeout=10)
    assert (names.asked.total(), set(names.asked.values())) == (48, {1})
    assert sorted(waiter.value for waiter in waiting) == ["OSError"] * 52 + ["OSError"] * 48


def test_names_that_were_found_wait_their_turn_for_a_thread(names: Resolver) -> None:
    """64 lookups run at once; those of names that were found before wait for one of the others to end."""
    hosts = [f"name-{number}.example" for number in range(MAX_LOOKUPS + 10)]
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    for host in hosts:
        names.knows(host, [METADATA])
        assert _outcome(dialer, host) == "NotAllowed"
        names.forgets(host)
    waiting = [gevent.spawn(_outcome, dialer, host) for host in hosts]
    eventually(lambda: names.busy == MAX_LOOKUPS, 10)
    names.speak()
    gevent.joinall(waiting, timeout=10)
    assert [waiter.value for waiter in waiting] == ["OSError"] * len(hosts)
    assert set(names.asked.values()) == {2}


def test_a_lookup_that_takes_long_lets_a_registration_in(names: Resolver) -> None:
    """A registration does not wait for ever for its name: it is let in, and the dial will tell."""
    dialer = Dialer(NetworkRules(), timing=TransportTiming(max_check=0.05), getaddrinfo=names)
    assert dialer.check_address("dead.example", 80).reason is None
    assert names.busy == 1


def test_a_lookup_counts_in_an_attempts_time(names: Resolver) -> None:
    """An attempt ends after its timeout though its name is still being looked up."""
    for scheme in ("http", "https"):
        assert (
            by_http(Dialer(NetworkRules(), getaddrinfo=names), f"{scheme}://dead.example:80", timeout=0.1).error
            == "timed out"
        )


def test_a_lookup_that_failed_in_an_unforeseen_way_is_made_again(names: Resolver) -> None:
    """Whatever goes wrong in a lookup, the name can be looked up again."""
    names.knows("odd.example", RuntimeError("no more threads"), [METADATA])
    dialer = Dialer(NetworkRules(), getaddrinfo=names)
    with gevent.Timeout(5):
        assert _outcome(dialer, "odd.example") == "OSError"
        eventually(lambda: _outcome(dialer, "odd.example") == "NotAllowed", 4)


def _outcome(dialer: Dialer, host: str) -> str:
    """What becomes of dialling a name: the name of an error."""
    try:
        dialer.connect(host, 80).close()
    except Exception as error:
        return type(error).__name__
    return ""
