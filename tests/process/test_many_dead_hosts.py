"""Subscribers whose hosts are gone take part of the deliveries under way, and never all of them."""

from pathlib import Path

import pytest

from tests.support.black_hole import SilentPort
from tests.support.caller import Caller
from tests.support.ports import free_port
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

#: Deliveries under way at once, and seconds after which an attempt ends.
MAX_IN_FLIGHT, LONG = 16, 60


@pytest.mark.parametrize("dead", [6, 40])
def test_a_healthy_subscriber_does_not_wait_for_dead_ones(tmp_path: Path, dead: int) -> None:
    """With many subscribers that answer no connection, a new healthy one gets each event while they are being tried."""
    gone = ("127.0.0.9", free_port())
    with (
        SilentPort(*gone),
        RecordingSubscriber() as healthy,
        BusServer(tmp_path, {"EVENTBUS_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT)}) as bus,
    ):
        caller = Caller(bus.port)
        for number in range(dead):
            caller.register(f"{gone[0]}:{gone[1]}/{number}", timeout=LONG)
        caller.register(healthy.address)
        for _ in range(6):
            healthy.wait_for_ids([caller.publish()])
        taken = caller.subscribers()
        assert sum(each["in_flight"] for each in taken) <= MAX_IN_FLIGHT // 2
        bus.kill()
