"""Subscribers whose hosts are gone, or never answer, take part of the deliveries under way, and never all of them."""

from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.server import BusServer
from tests.support.silent_subscriber import SilentListener, SilentPort
from tests.support.subscriber import Answer, Received, RecordingSubscriber

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
        eventually(lambda: in_flight(caller) <= MAX_IN_FLIGHT // 2, 5, "they held more than half")
        bus.kill()


def in_flight(caller: Caller) -> float:
    """Attempts in flight at one instant, the healthy subscriber's own among them: a long list has several instants."""
    metrics = caller.call("GET", "/metrics").text
    return float(metrics.partition("\neventbus_deliveries_in_flight ")[2].partition("\n")[0])


def consenting(received: Received) -> Answer:
    """Take everything, and consent to it."""
    return 200, [("WebHook-Allowed-Origin", received.header("WebHook-Request-Origin") or "")], b""


@pytest.mark.parametrize("verify", ["none", "handshake"])
@pytest.mark.parametrize("timeout", [0.1, LONG])
def test_a_healthy_subscriber_does_not_wait_for_those_that_never_answer(
    tmp_path: Path, verify: str, timeout: float
) -> None:
    """Beside hundreds that take a connection and never answer, on its own host and others, a healthy one gets all."""
    settings = {"EVENTBUS_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT), "EVENTBUS_VERIFY": verify}
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, settings))
        healthy = stack.enter_context(RecordingSubscriber(consenting))
        caller = Caller(bus.port)
        caller.register(healthy.address)
        healthy.wait_for_ids([caller.publish()])
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            listener = stack.enter_context(SilentListener(host))
            for number in range(100):
                caller.register(f"{listener.address}/{number}", timeout=timeout)
        for _ in range(10):
            healthy.wait_for_ids([caller.publish()])
            gevent.sleep(0.05)
            eventually(lambda: in_flight(caller) <= MAX_IN_FLIGHT // 2, 5, "they held more than half")
        bus.kill()
