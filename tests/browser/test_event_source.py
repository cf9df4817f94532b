"""A browser's EventSource behind nginx, as it is deployed, outlives a restart of the bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.dashboard_user import DashboardUser, Tab
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.nginx import Nginx, find_nginx
from tests.support.server import BusServer

_LISTEN = """
    window.told = [];
    window.source = new EventSource("/events");
    source.onmessage = (event) => told.push(JSON.parse(event.data).id);
"""
#: How often the source comes back, every two seconds, before there is a bus again.
ABSENT = 3


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that is restarted."""
    with BusServer(tmp_path) as server:
        yield server


@pytest.fixture
def nginx(own_bus: BusServer, tmp_path: Path) -> Iterator[Nginx]:
    """A proxy in front of it."""
    binary = find_nginx()
    if binary is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    with Nginx(binary, tmp_path, own_bus.port) as server:
        yield server


def test_an_event_source_outlives_a_restart(tab: Tab, own_bus: BusServer, nginx: Nginx, tmp_path: Path) -> None:
    """While the bus is away for seconds it comes back again and again, and then misses nothing."""
    caller, user = Caller(own_bus.port), DashboardUser(tab, nginx.port)
    tab.expected.append("favicon.ico")
    user.open("/healthz")
    user.run(_LISTEN)
    eventually(lambda: user.run("return source.readyState") == 1, 15)
    ids = [caller.publish()]
    eventually(lambda: user.run("return told") == ids, 15)
    log = tmp_path / "access.log"
    served = log.read_text().count("GET /events")
    assert own_bus.terminate() == 0
    eventually(lambda: log.read_text().count("GET /events") >= served + ABSENT, 30)
    assert user.run("return source.readyState") != 2
    own_bus.start()
    ids += [caller.publish() for _ in range(3)]
    eventually(lambda: user.run("return told") == ids, 30)
    user.run("source.close()")
