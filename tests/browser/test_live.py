"""Pages that are open follow what happens on the bus, by themselves and without being loaded again."""

from collections.abc import Iterator

import gevent
import pytest

from tests.browser.dashboard_user import PATIENCE, DashboardUser
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


def rises(user: DashboardUser, selector: str, times: int = 1) -> None:
    """The number there rises so many times, while the page stays the one that was loaded."""
    user.run("window.loaded = true")
    for _ in range(times):
        before = user.run(_NUMBER, selector)
        eventually(lambda: user.run(_NUMBER, selector) > before, PATIENCE)  # noqa: B023 - called at once
    assert user.run("return window.loaded")


def test_the_overview_shows_what_happens_now(user: DashboardUser, address: str) -> None:
    """The figures of events and deliveries a second move with the load."""
    user.hurry()
    user.open("/")
    for tile in (1, 2):
        eventually(lambda: user.run(_NUMBER, f"#tiles .tile:nth-child({tile}) b") > 5, PATIENCE)  # noqa: B023


def test_charts_are_drawn_and_go_on(user: DashboardUser, address: str) -> None:
    """Three charts are drawn, with their lines, and are drawn on as time goes by."""
    user.hurry()
    user.open("/")
    eventually(lambda: min(user.run(_DRAWN), default=0) > 1_000, PATIENCE)
    assert len(user.run(_DRAWN)) == 3
    before = user.run(_PICTURE)
    eventually(lambda: user.run(_PICTURE) != before, PATIENCE)


def test_the_table_of_subscribers_follows(user: DashboardUser, address: str) -> None:
    """What was delivered to a subscriber rises in the table."""
    user.open("/dashboard/subscribers")
    rises(user, "tbody td:nth-child(9)")


def test_a_subscribers_page_follows(user: DashboardUser, address: str) -> None:
    """What was delivered rises on the subscriber's own page."""
    user.hurry()
    user.open(f"/dashboard/subscriber?address={address}")
    rises(user, "#state .tile:nth-child(4) b")


def test_the_journal_follows(user: DashboardUser, address: str) -> None:
    """New events appear on top; a part of the journal that lies back stays as it is."""
    user.hurry()
    user.open("/dashboard/journal")
    rises(user, "tbody td:first-child", times=3)
    user.open("/dashboard/journal?upto=1")
    assert user.count("tbody tr") == 1
    assert user.count("[data-live]") == 0


def test_a_page_is_not_taken_from_who_uses_it(user: DashboardUser, address: str) -> None:
    """While the table is replaced beneath them, the focus stays on its link, and the table where it was moved to."""
    user.hurry()
    user.phone()
    user.open("/dashboard/subscribers")
    user.run("document.querySelector('tbody a').focus(); document.querySelector('.scroll').scrollLeft = 150")
    user.run("window.row = document.querySelector('tbody tr')")
    eventually(lambda: user.run("return !window.row.isConnected"), PATIENCE)
    assert user.focused() == address
    assert user.run("return document.querySelector('.scroll').scrollLeft") == 150


def test_a_bus_that_is_away_is_told_of_and_found_again(user: DashboardUser, bus: BusServer) -> None:
    """A page says that the bus does not answer, keeps what it shows, and goes on when the bus is back."""
    user.hurry()
    user.tab.expected.append("net::ERR")
    user.open("/")
    bus.kill()
    try:
        user.see("The bus does not answer", "#connection")
        assert "Publish rate" in user.text("#tiles")
    finally:
        bus.start()
    user.miss("The bus does not answer", "#connection")
