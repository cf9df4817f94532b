"""Where subscribers may be: refused when they register, and not dialled if they came in before the rule."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answers import assert_problem, assert_says
from tests.support.caller import JSON, Caller, register_target
from tests.support.deadline import eventually
from tests.support.server import BusServer, refusal
from tests.support.subscriber import RecordingSubscriber

METADATA = "169.254.169.254"
WRONG = "Error:Wrong input address."
#: One of each kind; tests/unit/test_networks.py has the rules.
DENIED = [f"https://{METADATA}/latest", "[fe80::1]", f"[::ffff:{METADATA}]", "[2002:a9fe:a9fe::1]"]
REASON = "is in a network that is denied by EVENTBUS_DENY_NETWORKS."


def registered(caller: Caller, address: str) -> int:
    """The status of a registration that leaves nothing behind."""
    status = caller.call("POST", register_target(address)).status
    caller.deregister(address)
    return status


@pytest.mark.parametrize("address", DENIED)
def test_an_address_that_is_denied_is_not_registered(caller: Caller, address: str) -> None:
    """A registration from where nobody may be sent to is answered 400 with the address and the reason."""
    response = caller.call("POST", register_target(address))
    assert response.status == 400
    assert response.text.startswith(f"{WRONG} ")
    assert response.text.endswith(".")
    assert not caller.subscribers()


def test_the_reason_is_told(caller: Caller) -> None:
    """The answer says what the address is, and of a disguise what it stands for, in text and in JSON."""
    reason = f"{METADATA} is link-local, where clouds keep their metadata"
    assert_says(caller.call("POST", register_target(METADATA)), 400, f"{WRONG} {reason}.")
    hidden = caller.call("POST", register_target(f"[64:ff9b::{METADATA}]"))
    assert_says(hidden, 400, f"{WRONG} {reason}, which is embedded in 64:ff9b::a9fe:a9fe.")
    problem = assert_problem(caller.call("POST", register_target(METADATA), [JSON]), 400)
    assert problem["detail"] == f"Wrong input address. {reason}."


def test_a_number_that_only_some_programs_read_is_no_address(caller: Caller) -> None:
    """A decimal spelling of IPv4 is refused as an address."""
    response = caller.call("POST", register_target("2852039166:8000"))
    assert_says(response, 400, f"{WRONG} '2852039166' is not an IPv4 address; write four decimal numbers.")


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1:9", "[fd12::1]", "8.8.8.8"])
def test_private_loopback_and_public_addresses_are_registered(caller: Caller, address: str) -> None:
    """Services live in private networks, on this machine and in public: all of them may register."""
    assert registered(caller, address) == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST.", "[::ffff:127.0.0.1]", "https://127.0.0.1"]
)
def test_the_bus_does_not_deliver_to_itself(bus: BusServer, caller: Caller, host: str) -> None:
    """The bus's own port on its own machine is refused, however the machine is called; other ports are not."""
    response = caller.call("POST", register_target(f"{host}:{bus.port}/prefix"))
    assert response.status == 400
    assert response.text.endswith(f"port {bus.port} is the bus itself.")
    assert registered(caller, f"{host}:9") == 200


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A bus that denies a private network but for a part of it, and allows one metadata service."""
    settings = {
        "EVENTBUS_DENY_NETWORKS": "10.0.0.0/8, fd12::/16",
        "EVENTBUS_ALLOW_NETWORKS": f"10.1.0.0/16,{METADATA}/32,fd12:1::/32",
    }
    with BusServer(tmp_path_factory.mktemp("strict"), settings) as bus:
        yield Caller(bus.port)


@pytest.mark.parametrize(
    ("address", "status"),
    [("10.2.0.1", 400), ("10.1.0.1", 200), ("[fd12:1::1]", 200), (METADATA, 200), ("[fe80::1]", 400)],
)
def test_the_more_specific_setting_counts(strict: Caller, address: str, status: int) -> None:
    """A part of a denied network may be allowed, and of what is always denied what is named, and nothing else."""
    assert registered(strict, address) == status


def test_a_bus_may_deliver_to_one_network_only(tmp_path: Path) -> None:
    """With everything denied and one network allowed, the others are refused and this one is delivered to."""
    settings = {"EVENTBUS_DENY_NETWORKS": "*", "EVENTBUS_ALLOW_NETWORKS": "127.0.0.1/32"}
    with BusServer(tmp_path, settings) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        for address in ("127.0.0.2:9", "10.0.0.1", "8.8.8.8", "[::1]:9", METADATA):
            response = caller.call("POST", register_target(address))
            assert response.status == 400
            assert address == METADATA or response.text.endswith(REASON)
        caller.register(subscriber.address)
        subscriber.wait_for_ids([caller.publish()])


def test_who_registered_before_the_rule_is_not_dialled(tmp_path: Path) -> None:
    """After a restart with a stricter rule, a subscriber from before gets nothing, and its account says why."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        Caller(bus.port).register(subscriber.address, lease=600)
        bus.terminate()
        strict = BusServer(tmp_path, {"EVENTBUS_DENY_NETWORKS": "127.0.0.0/8"})
        with strict:
            caller = Caller(strict.port)
            caller.publish()
            standing = eventually(lambda: _failed(caller, subscriber.address), 10)
            assert standing["last_error"] == f"not allowed: 127.0.0.1 {REASON}"
            assert (standing["pending"], standing["state"]) == (1, "down")
            assert subscriber.connections == 0


def test_a_port_of_another_protocol_is_not_registered(caller: Caller) -> None:
    """An event's lines would be commands there; the reason names the protocol, and the setting that allows it."""
    for address, protocol in (
        ("10.0.0.1:25", "SMTP"),
        ("https://a.example:6379/path", "Redis"),
        ("[::1]:11211", "memcached"),
    ):
        response = caller.call("POST", register_target(address))
        assert response.status == 400
        assert response.text.startswith(f"{WRONG} Port ")
        assert f"is that of {protocol}, " in response.text
        assert response.text.split(" ")[-3].startswith("EVENTBUS_ALLOW_PORTS=")
    assert not caller.subscribers()


def test_who_is_on_such_a_port_from_before_is_down_until_the_port_is_allowed(tmp_path: Path) -> None:
    """It stays registered, is not dialled, and gets what waited for it."""
    allowed = {"EVENTBUS_ALLOW_PORTS": "25, 61613"}
    with RecordingSubscriber() as subscriber:
        subscriber.down()
        subscriber.port = 61_613
        subscriber.up()
        with BusServer(tmp_path, allowed) as bus:
            Caller(bus.port).register(subscriber.address, lease=600)
            bus.terminate()
        with BusServer(tmp_path) as bus:
            caller = Caller(bus.port)
            event = caller.publish()
            standing = eventually(lambda: _failed(caller, subscriber.address), 10)
            assert str(standing["last_error"]).startswith("not allowed: Port 61613 is that of STOMP")
            assert (standing["pending"], standing["state"], subscriber.connections) == (1, "down", 0)
            bus.terminate()
        with BusServer(tmp_path, allowed) as bus:
            Caller(bus.port).register(subscriber.address)
            subscriber.wait_for_ids([event])


def _failed(caller: Caller, address: str) -> dict[str, object] | None:
    standing = caller.subscriber(address)
    return standing if standing["last_error"] else None


@pytest.mark.parametrize(
    ("name", "value"), [("EVENTBUS_DENY_NETWORKS", "10.0.0.0/33"), ("EVENTBUS_ALLOW_PORTS", "smtp")]
)
def test_what_is_no_network_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    """A list with anything but networks in it stops the start, in a sentence that names the setting."""
    assert refusal(BusServer(tmp_path, {name: value}), f"eventbus cannot start: {name} must be ")
