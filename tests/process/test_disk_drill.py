"""The disk drill: however a disk became full, what was accepted is delivered, and publishing returns by itself."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.small_disk import MIB, SmallDisk, small_disk, why_not
from tests.support.subscriber import RecordingSubscriber

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")

DISK = 8 * MIB
BODY = b"x" * 16_384
#: Seconds in which publishing has to return once there is room: 5 are promised, the rest is for a busy machine.
RETURNS = 20

Restart = Callable[[BusServer], object]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A small disk."""
    with small_disk(tmp_path / "disk", DISK) as mounted:
        yield mounted


@pytest.fixture
def bus(tmp_path: Path, disk: SmallDisk) -> Iterator[BusServer]:
    """A bus whose journal alone is on the small disk."""
    with BusServer(tmp_path, disk.journal) as server:
        yield server


def fill(caller: Caller) -> list[str]:
    """Publish until the disk is full; the ids that were accepted."""
    ids: list[str] = []
    while (response := caller.call("POST", "/sendMessage", body=BODY)).status == 200:
        ids.append(response.header("Webhook-Id") or "")
        assert len(ids) * len(BODY) < DISK
    assert response.status == 507
    return ids


def accepted(caller: Caller, body: bytes = BODY) -> str:
    """The id of an event that was accepted, empty where the disk is full."""
    response = caller.call("POST", "/sendMessage", body=body)
    assert response.status in (200, 507)
    return response.header("Webhook-Id") or ""


def lives(caller: Caller) -> bool:
    """Whether the bus answers at all."""
    with suppress(OSError):
        return caller.call("GET", "/healthz").status == 200
    return False


def take_all(disk: SmallDisk) -> None:
    """Let others take all the room that there is, and go on until there is none."""
    with suppress(OSError), (disk.folder / "others").open("wb", buffering=0) as others:
        while others.write(bytes(4_096)):
            pass
    assert disk.free == 0


def stop_in_order(bus: BusServer) -> None:
    """SIGTERM, and start again."""
    bus.terminate()
    bus.start()


def stop_at_once(bus: BusServer) -> None:
    """SIGKILL, and start again."""
    bus.kill()
    bus.start()


RESTARTS = [pytest.param(lambda _: None, id="runs on"), stop_in_order, stop_at_once]


@pytest.mark.parametrize("restart", RESTARTS)
def test_a_disk_that_the_backlog_has_filled(bus: BusServer, restart: Restart) -> None:
    """When the backlog that filled the disk has been delivered, publishing returns, though nobody makes room."""
    with RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        ids: list[str] = []
        for _ in range(3):
            subscriber.down()
            ids += fill(caller)
            restart(bus)
            subscriber.up()
            caller.register(subscriber.address)
            subscriber.wait_for_ids(ids)
            ids.append(eventually(lambda: accepted(caller), RETURNS))
        subscriber.wait_for_ids(ids)
        eventually(settled(caller, subscriber.address, accepted=len(ids), delivered=len(ids)), 30)
        assert subscriber.counts.keys() == set(ids)


@pytest.mark.parametrize("restart", RESTARTS)
def test_a_disk_that_others_have_filled(bus: BusServer, disk: SmallDisk, restart: Restart) -> None:
    """On a disk without a byte what is pending is delivered, services register, and room brings publishing back."""
    switch = Switch(500)
    with RecordingSubscriber(switch, keep_bodies=False) as subscriber, RecordingSubscriber() as newcomer:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        ids = [caller.publish(BODY) for _ in range(60)]
        eventually(lambda: len(subscriber.counts) == len(ids), 30)
        take_all(disk)
        restart(bus)
        ids += fill(caller)
        switch.status = 200
        caller.register(subscriber.address)
        caller.register(newcomer.address)
        eventually(settled(caller, subscriber.address, delivered=len(ids)), 60)
        (disk.folder / "others").unlink()
        later = eventually(lambda: accepted(caller), RETURNS)
        subscriber.wait_for_ids([later])
        newcomer.wait_for_ids([later])


def test_a_disk_that_has_no_room_at_the_start(tmp_path: Path, disk: SmallDisk) -> None:
    """Where not even the reserve is left, what is pending is delivered at the start, and goes on when there is room."""
    switch = Switch(500)
    with (
        RecordingSubscriber(switch, keep_bodies=False) as subscriber,
        BusServer(tmp_path, disk.journal) as bus,
    ):
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        ids = [caller.publish(b"%d" % number) for number in range(40)]
        eventually(lambda: len(subscriber.counts) == len(ids), 30)
        bus.kill()
        (disk.folder / "bus.db-reserve").unlink()
        take_all(disk)
        bus.spawn()
        eventually(lambda: lives(caller), 30)
        assert not accepted(caller)
        taken = len(subscriber.counts)
        switch.status = 200
        subscriber.wait_for(lambda found: found.counts.total() >= taken + len(ids), 90)
        (disk.folder / "others").unlink()
        later = eventually(lambda: accepted(caller), RETURNS)
        subscriber.wait_for_ids([later])
        eventually(settled(caller, subscriber.address, accepted=len(ids) + 1, delivered=len(ids) + 1), 60)
