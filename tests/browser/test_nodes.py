"""The pages of two buses that are one: either shows and mends what the other has, and says whom it did not hear."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import gevent
import pytest

from tests.browser.dashboard_user import DashboardUser, Tab
from tests.browser.test_live import rises
from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.cluster import BODY, Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.responders import Switch
from tests.support.subscriber import RecordingSubscriber

pytestmark = NEEDS_REDIS
NODES = 2
#: Dead letters of each subscriber.
DEAD = 2
#: Seconds between two events of the load: it is to be seen, not to be felt.
PACE = 0.02


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two buses that know of each other."""
    folder = tmp_path_factory.mktemp("nodes")
    with RedisServer(folder) as redis, cluster_on(folder, redis, [redis.url] * NODES) as found:
        for caller in found.callers():
            eventually(lambda caller=caller: heard(caller) == "2 of 2", 20)
        yield found


def heard(caller: Caller) -> str | None:
    """From how many of how many buses an answer is."""
    return caller.call("GET", "/listSubscribers").header("Eventbus-Nodes")


@pytest.fixture(scope="module")
def addresses(cluster: Cluster) -> Iterator[list[str]]:
    """A subscriber of each bus, which has rejected a few events; others are delivered all the time from then on."""

    def bodies() -> Iterator[bytes]:
        while True:
            gevent.sleep(PACE)
            yield BODY

    switch = Switch(422)
    with ExitStack() as stack:
        subscribers = [stack.enter_context(RecordingSubscriber(switch, keep_bodies=False)) for _ in range(NODES)]
        found = [subscriber.address for subscriber in subscribers]
        for caller, address in zip(cluster.callers(), found, strict=True):
            caller.register(address, lease=3_600)
        for _ in range(DEAD):
            cluster.callers()[0].publish(BODY)
        for caller, address in zip(cluster.callers(), found, strict=True):
            eventually(settled(caller, address, dead=DEAD), 30)
        switch.status = 200
        load = Publisher(cluster.nodes[1].port, bodies(), connections=1, timeout=600).start()
        yield found
        load.stop()
        load.join()


@pytest.fixture
def user(tab: Tab, cluster: Cluster) -> DashboardUser:
    """Looks at the first of the buses."""
    return DashboardUser(tab, cluster.nodes[0].port)


def row(user: DashboardUser, address: str) -> str:
    """A selector of that subscriber's row, in a table whose addresses are links."""
    body, place = user.run(
        """
        const found = [...document.querySelectorAll("tbody tr")].find((row) => row.innerText.includes(arguments[0]));
        const bodies = [...document.querySelectorAll("tbody")];
        return [bodies.indexOf(found.parentNode), [...found.parentNode.children].indexOf(found)];
        """,
        address,
    )
    return f"tbody:nth-of-type({body + 1}) tr:nth-child({place + 1})"


@pytest.mark.parametrize("number", range(NODES))
def test_either_bus_shows_what_both_have(tab: Tab, cluster: Cluster, addresses: list[str], number: int) -> None:
    """Tables and figures are of both buses, and the figures of either's subscribers move."""
    user = DashboardUser(tab, cluster.nodes[number].port)
    user.hurry()
    user.open("/")
    assert user.text("#tiles .tile:nth-child(7) b") == str(DEAD * NODES)
    assert user.text("#tiles .tile:nth-child(8) b") == str(NODES)
    eventually(lambda: float(user.text("#tiles .tile:nth-child(1) b")) > 5, 15)
    assert all(address in user.text("#attention") for address in addresses)
    user.open("/dashboard/subscribers")
    assert user.text("#connection") == ""
    for address in addresses:
        rises(user, f"{row(user, address)} td:nth-child(9)")


def test_a_subscriber_of_the_other_bus_is_looked_at(user: DashboardUser, addresses: list[str]) -> None:
    """A click in the table opens the page of a subscriber that the other bus has, and it follows what happens."""
    user.hurry()
    user.open("/dashboard/subscribers")
    user.click(addresses[1])
    user.see("Delivered, of", "#state")
    assert user.text("h1") == addresses[1]
    rises(user, "#state .tile:nth-child(4) b")


def test_dead_letters_of_the_other_bus_are_mended(user: DashboardUser, addresses: list[str]) -> None:
    """Of the dead letters of a subscriber that the other bus has, one is replayed and one is discarded."""
    user.open(f"/dashboard/deadLetters?address={quote(addresses[1])}")
    assert user.count("tbody tr") == DEAD
    user.find("tbody tr:nth-child(1) input").click()
    user.click("Redeliver selected")
    user.click("Redeliver")
    user.see("1 redelivered: 1 delivered.", "dialog")
    user.click("Close")
    eventually(lambda: user.count("tbody tr") == 1, 5)
    user.click(f"Discard all of {addresses[1]}")
    user.click("Discard all")
    eventually(lambda: user.find("#ask-go").is_enabled(), 5)
    user.click("Yes, discard all")
    user.see("1 discarded.", "dialog")
    user.click("Close")
    user.see("No dead letters.", "#letters")
    user.open(f"/dashboard/subscriber?address={quote(addresses[1])}")
    user.see("0\nDead", "#state")
    assert "1\nDiscarded" in user.text("#state")


def test_a_bus_that_is_not_heard_is_told_of(user: DashboardUser, cluster: Cluster, addresses: list[str]) -> None:
    """While the other bus is stopped a page opens all the same, and says that one of two has answered."""
    cluster.nodes[1].send(signal.SIGSTOP, whole_group=True)
    try:
        user.open("/")
        user.see("Only 1 of 2 nodes answered", "#connection")
        assert addresses[0] in user.text("#attention")
    finally:
        cluster.nodes[1].send(signal.SIGCONT, whole_group=True)
    user.miss("Only 1 of 2", "#connection")


def test_without_redis_pages_wait(user: DashboardUser, cluster: Cluster, addresses: list[str]) -> None:
    """While Redis is away an open page stays and says why, one that is opened says so, and both go on with it."""
    user.hurry()
    user.expect(503)
    page = f"/dashboard/subscriber?address={quote(addresses[0])}"
    user.open(page)
    cluster.redis.kill()
    try:
        user.see("The journal does not return", "#connection")
        assert "Options" in user.text()
        user.open(page)
        user.see("The journal does not return", "#reason")
    finally:
        cluster.redis.start()
    user.see("Options")
    assert user.text("#connection") == ""
