"""Subscribers that answer quickly, and then hang all at once, give way to those that wait for a slot."""

from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: Deliveries under way at once, and seconds after which an attempt ends.
MAX_IN_FLIGHT, LONG = 16, 60


def consent(received: Received) -> Answer:
    """Take everything, and consent to it."""
    return 200, [("WebHook-Allowed-Origin", received.header("WebHook-Request-Origin") or "")], b""


def hang(received: Received) -> Answer:
    """The same, but never answer to an event that is bad."""
    if received.body == b"bad":
        gevent.sleep(2 * LONG)
    return consent(received)


@pytest.mark.parametrize("verify", ["none", "handshake"])
@pytest.mark.parametrize("sleepers", [1, 60])
def test_who_answers_does_not_wait_for_those_that_hang_all_at_once(tmp_path: Path, sleepers: int, verify: str) -> None:
    """One with many deliveries at once, or many, take every slot; who answers gets each event long before they end."""
    settings = {"EVENTBUS_MAX_IN_FLIGHT": str(MAX_IN_FLIGHT), "EVENTBUS_VERIFY": verify}
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, settings))
        hanging = stack.enter_context(RecordingSubscriber(hang))
        healthy = stack.enter_context(RecordingSubscriber(consent))
        caller = Caller(bus.port)
        for number in range(sleepers):
            caller.register(f"{hanging.address}/{number}", timeout=LONG, max_in_flight=MAX_IN_FLIGHT)
        for _ in range(MAX_IN_FLIGHT):  # so that a subscriber's window is open
            event = caller.publish(b"good")
            hanging.wait_for(lambda subscriber, event=event: subscriber.counts[event] >= sleepers)
        caller.register(healthy.address)
        healthy.wait_for_ids([caller.publish(b"good")])
        healthy.wait_for_ids([caller.publish(b"bad") for _ in range(MAX_IN_FLIGHT)], LONG / 3)
        for _ in range(5):
            healthy.wait_for_ids([caller.publish(b"bad")], LONG / 3)
        if sleepers > MAX_IN_FLIGHT:  # else nobody has waited for a slot
            eventually(lambda: "were cut short" in bus.log_text(), LONG / 3, "no attempt was cut short")
        failed = {each["failed_attempts"] for each in caller.subscribers()}
        assert failed == {0}, "what was cut short is no failure"
        bus.kill()
