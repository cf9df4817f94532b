"""A full disk: publishing is refused with 507, nothing accepted is lost, and all goes on when there is room again."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.answers import TEXT
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.server import BusServer
from tests.support.small_disk import MIB, SmallDisk, small_disk, why_not
from tests.support.subscriber import RecordingSubscriber

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

DISK = 8 * MIB
FILLER = 4 * MIB
BODY = b"x" * 32_768
#: More events of that size than fit the disk.
TOO_MANY = DISK // len(BODY)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk of which half is taken."""
    with small_disk(tmp_path / "disk", DISK) as mounted:
        mounted.take(FILLER)
        yield mounted


@pytest.fixture
def bus(tmp_path: Path, disk: SmallDisk) -> Iterator[BusServer]:
    """A bus whose journal alone is on the small disk."""
    with BusServer(tmp_path, disk.journal) as server:
        yield server


def publish(caller: Caller) -> Response:
    """Publish one large event."""
    return caller.call("POST", "/sendMessage", body=BODY)


def fill(caller: Caller) -> tuple[list[str], Response]:
    """Publish until it is refused: the ids that were accepted, and the refusal."""
    ids: list[str] = []
    for _ in range(TOO_MANY):
        response = publish(caller)
        if response.status != 200:
            return ids, response
        ids.append(response.header("Webhook-Id") or "")
    raise AssertionError(f"{TOO_MANY} events of {len(BODY)} bytes were accepted on {DISK} bytes of disk")


def accepted_again(caller: Caller) -> str:
    """The id of an event that was accepted, empty where it was not."""
    response = publish(caller)
    assert response.status in (200, 507)
    return response.header("Webhook-Id") or ""


def test_a_full_disk_refuses_with_507(bus: BusServer) -> None:
    """Without room, publishing is answered 507 with a sentence and when to try again, and ``/readyz`` says why."""
    caller = Caller(bus.port)
    accepted, refusal = fill(caller)
    assert accepted
    assert (refusal.status, refusal.header("Content-Type")) == (507, TEXT)
    assert "full" in refusal.text
    assert int(refusal.header("Retry-After") or "0") > 0
    assert refusal.header("Webhook-Id") is None
    assert caller.call("GET", "/healthz").status == 200
    assert publish(caller).status == 507


def test_deliveries_go_on_while_the_disk_is_full(bus: BusServer) -> None:
    """What was accepted before is delivered on a full disk, each event once, and no refused one."""
    with RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        subscriber.down()
        accepted, _ = fill(caller)
        subscriber.up()
        eventually(lambda: caller.subscriber(subscriber.address)["state"] not in ("new", "ok") or subscriber.counts, 30)
        caller.register(subscriber.address)
        subscriber.wait_for_ids(accepted)
        eventually(settled(caller, subscriber.address, delivered=len(accepted)), 30)
        assert subscriber.counts == dict.fromkeys(accepted, 1)
        assert {request.body for request in subscriber.received} == {BODY}


def test_publishing_goes_on_by_itself_when_there_is_room(bus: BusServer, disk: SmallDisk) -> None:
    """When room returns, the next publish is accepted; nobody has to start the bus again."""
    with RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        accepted, _ = fill(caller)
        disk.give_back()
        accepted.append(eventually(lambda: accepted_again(caller), 30))
        accepted += [accepted_again(caller) for _ in range(20)]
        subscriber.wait_for_ids(accepted)
        eventually(lambda: caller.call("GET", "/readyz").status == 200, 30)
        eventually(settled(caller, subscriber.address, accepted=len(accepted), delivered=len(accepted)), 30)
        assert subscriber.counts.keys() == set(accepted)


def test_a_kill_on_a_full_disk_loses_nothing(bus: BusServer, disk: SmallDisk) -> None:
    """Killed while the disk is full and started with room, the bus delivers all it accepted, and nothing refused."""
    with ExitStack() as stack:
        subscriber = stack.enter_context(RecordingSubscriber())
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        subscriber.down()
        accepted, _ = fill(caller)
        bus.kill()
        disk.give_back()
        bus.start()
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(accepted)
        eventually(settled(caller, subscriber.address, accepted=len(accepted), delivered=len(accepted)), 30)
        assert subscriber.counts == dict.fromkeys(accepted, 1)
