"""The examples as replicas of a service: a group, whose members come and go."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.examples import TOOLS, Examples, ExampleSubscriber
from tests.support.publisher import Publisher
from tests.support.server import BusServer


@pytest.fixture(scope="module")
def own_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus whose leases are short."""
    with BusServer(tmp_path_factory.mktemp("bus"), {"EVENTBUS_LEASE_SECONDS": "6"}) as server:
        yield server


@pytest.fixture(scope="module")
def examples(own_bus: BusServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """Runs examples."""
    with Examples(own_bus.port, tmp_path_factory.mktemp("examples"), {}) as runs:
        yield runs


def group_status(caller: Caller, group: str) -> dict[str, Any]:
    """What the bus says of a group; KeyError where it is none."""
    groups = caller.call("GET", "/listSubscribers", [JSON]).json()["groups"]
    return {found["group"]: found for found in groups}[group]


def bodies(published: list[str]) -> Iterator[bytes]:
    """Events without end; those that are taken are noted."""
    for number in count():
        published.append(json.dumps({"number": number}))
        yield published[-1].encode()


def handled(members: list[ExampleSubscriber]) -> Counter[str]:
    """How often each event was handled, by whichever member."""
    return Counter(body for member in members for body in member.bodies)


@pytest.mark.parametrize("language", TOOLS)
def test_a_rolling_restart_loses_and_repeats_nothing(own_bus: BusServer, examples: Examples, language: str) -> None:
    """Each of two members is followed by another one under load: no attempt fails, and each event is handled once."""
    group, caller, wanted = f"{language}-restart", Caller(own_bus.port), list[str]()
    members = [examples.member(language, f"{group}.>", group) for _ in range(2)]
    publisher = Publisher(own_bus.port, bodies(wanted), connections=2, target=f"/sendMessage?topic={group}.a").start()
    for leaving in members[:2]:
        publisher.wait_accepted(len(publisher.result.accepted) + 50)
        leaving.program.send()
        assert leaving.program.ended() == 0, leaving.program.errors
        members.append(examples.member(language, f"{group}.>", group))
    publisher.stop()
    assert len(publisher.join().accepted) == len(wanted)
    eventually(lambda: handled(members) == Counter(wanted), 30)
    status = group_status(caller, group)
    assert [member["address"] for member in status["members"]] == [member.address for member in members[2:]]
    assert (status["failed_attempts"], status["dead"], status["discarded"]) == (0, 0, 0)


@pytest.mark.parametrize("language", TOOLS)
def test_a_member_that_the_bus_has_forgotten_is_back(examples: Examples, own_bus: BusServer, language: str) -> None:
    """With its next renewal, a third of the lease later."""
    member, caller = examples.member(language, "forgotten", f"{language}-forgotten"), Caller(own_bus.port)
    caller.deregister(member.address)
    eventually(lambda: caller.listed(member.address), 30)
    assert caller.subscriber(member.address)["group"] == f"{language}-forgotten"


@pytest.mark.parametrize("language", TOOLS)
def test_a_member_says_why_it_cannot_join(examples: Examples, own_bus: BusServer, language: str) -> None:
    """An address that is registered without a group is refused, and the member tells the bus's reason."""
    member, caller = examples.member(language, "elsewhere", f"{language}-elsewhere"), Caller(own_bus.port)
    caller.deregister(member.address)
    caller.register(member.address, lease=600)
    eventually(lambda: "registered without a group; deregister it first" in member.program.errors, 30)
    caller.deregister(member.address)
    eventually(lambda: caller.listed(member.address), 30)
