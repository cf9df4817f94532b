"""Pages that are open follow what happens on the bus, by themselves and without being loaded again."""

from collections.abc import Iterator

import gevent
import pytest

from tests.browser.visitor import PATIENCE, Visitor
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

#: Seconds between two events of the load: it is to be seen, not to be felt.
PACE = 0.02
#: Whether a chart's lines are drawn, by how many pixels of its canvas are not empty.
_DRAWN = """
    return [...document.querySelectorAll("canvas")].map(({ width, height }, at, all) => {
        const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(all[at], 0, 0);
        return copy.getImageData(0, 0, width, height).data.filter((value, at) => at % 4 === 3 && value > 0).length;
    })
"""
_PICTURE = "return document.querySelector('[data-chart=rates] canvas').toDataURL()"
_NUMBER = "return Number(document.querySelector(arguments[0]).innerText.replaceAll(',', ''))"


@pytest.fixture(scope="module")
def address(bus: BusServer) -> Iterator[str]:
    """A subscriber's address, to which events are delivered all the time."""

    def bodies() -> Iterator[bytes]:
        while True:
            gevent.sleep(PACE)
            yield b'{"order": 42}'

    with RecordingSubscriber(keep_bodies=False) as subscriber:
        Caller(bus.port).register(subscriber.address, lease=3_600)
        load = Publisher(bus.port, bodies(), connections=1, timeout=600, target="/sendMessage?topic=orders.created")
        load.start().wait_accepted(1)
        yield subscriber.address
        load.stop()
        load.join()


def rises(visitor: Visitor, selector: str, times: int = 1) -> None:
    """The number there rises so many times, while the page stays the one that was loaded."""
    visitor.run("window.loaded = true")
    for _ in range(times):
        before = visitor.run(_NUMBER, selector)
        eventually(lambda: visitor.run(_NUMBER, selector) > before, PATIENCE)  # noqa: B023 - called at once
    assert visitor.run("return window.loaded")


def test_the_overview_shows_what_happens_now(visitor: Visitor, address: str) -> None:
    """The figures of events and deliveries a second move with the load."""
    visitor.hurry()
    visitor.open("/")
    for tile in (1, 2):
        eventually(lambda: visitor.run(_NUMBER, f"#tiles .tile:nth-child({tile}) b") > 5, PATIENCE)  # noqa: B023


def test_charts_are_drawn_and_go_on(visitor: Visitor, address: str) -> None:
    """Three charts are drawn, with their lines, and are drawn on as time goes by."""
    visitor.hurry()
    visitor.open("/")
    eventually(lambda: min(visitor.run(_DRAWN), default=0) > 1_000, PATIENCE)
    assert len(visitor.run(_DRAWN)) == 3
    before = visitor.run(_PICTURE)
    eventually(lambda: visitor.run(_PICTURE) != before, PATIENCE)


def test_the_table_of_subscribers_follows(visitor: Visitor, address: str) -> None:
    """What was delivered to a subscriber rises in the table."""
    visitor.open("/dashboard/subscribers")
    rises(visitor, "tbody td:nth-child(9)")


def test_a_subscribers_page_follows(visitor: Visitor, address: str) -> None:
    """What was delivered rises on the subscriber's own page."""
    visitor.hurry()
    visitor.open(f"/dashboard/subscriber?address={address}")
    rises(visitor, "#state .tile:nth-child(4) b")


def test_the_journal_follows(visitor: Visitor, address: str) -> None:
    """New events appear on top; a part of the journal that lies back stays as it is."""
    visitor.hurry()
    visitor.open("/dashboard/journal")
    rises(visitor, "tbody td:first-child", times=3)
    visitor.open("/dashboard/journal?upto=1")
    assert visitor.count("tbody tr") == 1
    assert visitor.count("[data-live]") == 0


def test_a_page_is_not_taken_from_who_uses_it(visitor: Visitor, address: str) -> None:
    """While the table is replaced beneath them, the focus stays on its link, and the table where it was moved to."""
    visitor.hurry()
    visitor.phone()
    visitor.open("/dashboard/subscribers")
    visitor.run("document.querySelector('tbody a').focus(); document.querySelector('.scroll').scrollLeft = 150")
    visitor.run("window.row = document.querySelector('tbody tr')")
    eventually(lambda: visitor.run("return !window.row.isConnected"), PATIENCE)
    assert visitor.focused() == address
    assert visitor.run("return document.querySelector('.scroll').scrollLeft") == 150


def test_a_bus_that_is_away_is_told_of_and_found_again(visitor: Visitor, bus: BusServer) -> None:
    """A page says that the bus does not answer, keeps what it shows, and goes on when the bus is back."""
    visitor.hurry()
    visitor.tab.expected.append("net::ERR")
    visitor.open("/")
    bus.kill()
    try:
        visitor.see("The bus does not answer", "#connection")
        assert "Publish rate" in visitor.text("#tiles")
    finally:
        bus.start()
    visitor.miss("The bus does not answer", "#connection")
