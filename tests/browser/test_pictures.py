"""The pictures of the dashboard in the documentation, taken of a real bus: EVENTBUS_SCREENSHOTS=1 takes them anew."""

import math
import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import gevent
import pytest

from tests.browser.dashboard_user import PATIENCE, DashboardUser
from tests.browser.shop import Shop, shop
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer

FOLDER = Path(__file__).parents[2] / "docs" / "images"
#: Bytes in one picture, at most.
LARGEST = 200 * 1024
#: Events that the charts show, and how many a second: a few, more, and fewer again.
EVENTS, MEAN, SWING = 4_000, 25.0, 15.0

pytestmark = pytest.mark.skipif(
    os.environ.get("EVENTBUS_SCREENSHOTS") != "1", reason="takes pictures where EVENTBUS_SCREENSHOTS=1"
)


@pytest.fixture(scope="module")
def busy(bus: BusServer) -> Iterator[Shop]:
    """Services to which events have been published for a while, and still are; some of them are in trouble."""
    with shop(Caller(bus.port)) as found:
        load = gevent.spawn(publish, found)
        eventually(lambda: found.caller.subscriber(found.addresses["audit"])["delivered"] > EVENTS, 600)
        yield found
        load.kill()


def publish(busy: Shop) -> None:
    """Publish until the end, now more and now less."""
    began = time.monotonic()
    for number in count(30):
        busy.publish(number)
        past = time.monotonic() - began
        gevent.sleep(1 / (MEAN + SWING * math.sin(past / 9) * math.sin(past / 31)))


def take(user: DashboardUser, name: str) -> None:
    """Write down what is seen; smaller than a page of documentation can bear."""
    user.driver.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
    path = FOLDER / f"dashboard-{name}.png"
    FOLDER.mkdir(exist_ok=True)
    assert user.driver.save_screenshot(path)
    assert path.stat().st_size < LARGEST


def see_charts(user: DashboardUser) -> None:
    """Wait until the charts show what there is."""
    eventually(lambda: "–" not in user.text("#charts") and user.count("canvas") == 3, PATIENCE)


def test_the_overview(user: DashboardUser, busy: Shop) -> None:
    """The overview: figures, charts, and who needs somebody."""
    user.window(1280, 920)
    user.open("/")
    see_charts(user)
    take(user, "overview")


def test_a_subscriber(user: DashboardUser, busy: Shop) -> None:
    """A subscriber that is down: what it asked for, and what happened."""
    user.window(1280, 1000)
    user.open(f"/dashboard/subscriber?address={quote(busy.addresses['warehouse'])}")
    user.see("is down: connection failed")
    take(user, "subscriber")


def test_dead_letters(user: DashboardUser, busy: Shop) -> None:
    """Dead letters, some of them chosen."""
    user.window(1280, 797)
    user.open("/dashboard/deadLetters")
    for number in (1, 2, 4):
        user.find(f"tbody tr:nth-child({number}) input").click()
    take(user, "dead-letters")


def test_a_telephone(user: DashboardUser, busy: Shop) -> None:
    """The overview on a telephone, dark."""
    user.phone()
    user.dark()
    user.open("/")
    see_charts(user)
    take(user, "phone")
