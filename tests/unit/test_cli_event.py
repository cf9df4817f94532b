"""How ``eventbus event`` shows the deliveries of an event."""

import pytest
from click.testing import CliRunner

from eventbus.cli.context import CommandContext
from eventbus.cli.program import program
from eventbus.client import Delivery
from eventbus.testing import FakeBus


def test_attempts_are_shown_of_what_is_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bus counts them for that alone: of what is settled there is no number, rather than 0."""
    bus = FakeBus()
    event = bus.publish("a", b"1").id
    monkeypatch.setattr(CommandContext, "bus", lambda *_, **__: bus)
    monkeypatch.setattr(bus, "deliveries", lambda _: [Delivery("h:1", "pending", 0), Delivery("h:2", "dead", 0)])
    lines = CliRunner().invoke(program, ["event", event]).stdout.splitlines()
    assert [line.split() for line in lines[-2:]] == [["h:1", "pending", "0"], ["h:2", "dead"]]
