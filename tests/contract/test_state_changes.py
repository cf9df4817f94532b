"""Changes of a subscriber's state are logged once each, however many attempts see them."""

import logging

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.health import FIRST_WINDOW
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.sqlite import SqliteJournal
from eventbus.journal.sqlite.store import MEMORY
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import REFUSED, wait_please
from tests.support.scripted import ScriptedTransport


@pytest.mark.parametrize(("said", "text"), [(REFUSED, "is down"), (wait_please(30), "asked for a pause")])
def test_attempts_in_flight_together_log_one_change(
    caplog: pytest.LogCaptureFixture, said: DeliveryResponse, text: str
) -> None:
    """When several attempts in flight fail, the first changes the state, and that alone is logged."""
    caplog.set_level(logging.INFO, "eventbus")
    transport = ScriptedTransport()
    bus = Bus(Settings(), SqliteJournal(MEMORY), transport)
    bus.start()
    try:
        lane = bus.register(parse_address("127.0.0.1:8000"), Terms()).lane
        bus.publish([Message(new_event_id(), None, b"", b"{}", 1.0) for _ in range(FIRST_WINDOW)])
        eventually(lambda: len(transport.held) == FIRST_WINDOW, 10)
        transport.answer(transport.held[:], said)
        eventually(lambda: lane.failed_attempts == FIRST_WINDOW, 10)
        assert [text in record.getMessage() for record in caplog.records].count(True) == 1
        assert len(lane.notes) == 1
    finally:
        bus.stop()
