"""What a bus with tokens answers without one: whether it lives, and what is the same on every bus of its version."""

from collections.abc import Iterator

import pytest

from eventbus.core.settings import MEMORY, Settings
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from tests.support.raw_client import RawConnection, Response
from tests.support.scripted import ScriptedTransport
from tests.support.server import BusServer

ADMIN = "admin-0123456789"
#: What everybody gets.
OPEN = ["/healthz", "/readyz", "/docs", "/openapi.json", "/static/reference.css", "/dashboard/static/dashboard.js"]
#: What is known by these names is for everybody; the dashboard's pages ask for a token by themselves.
FREE = {"operations.healthz", "operations.readyz", "reference.openapi", "reference.docs"}
FILES = {"reference.static_file", "dashboard.static_file"}
PAGES = {
    f"dashboard.{name}"
    for name in (
        "overview",
        "subscribers",
        "subscriber",
        "journal",
        "event",
        "scheduled",
        "dead_letters",
        "send",
        "settings",
    )
}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with a token, a subscriber and an event."""
    with BusServer(tmp_path_factory.mktemp("closed"), {"EVENTBUS_ADMIN_TOKENS": ADMIN}) as bus:
        yield bus


def ask(bus: BusServer, method: str, target: str, token: str | None = None) -> Response:
    """The answer to somebody, with a token or without."""
    headers = [] if token is None else [("Authorization", f"Bearer {token}")]
    with RawConnection(bus.port) as connection:
        return connection.request(method, target, headers, b"{}" if method == "POST" else None)


def test_what_is_open_tells_nothing_of_this_bus(closed: BusServer) -> None:
    """Its answers are the same before and after it has subscribers and events."""
    before = {target: ask(closed, "GET", target) for target in OPEN}
    assert {response.status for response in before.values()} == {200}
    assert ask(closed, "POST", "/registerAndKeepAlive?address=127.0.0.1:9/secret", ADMIN).status == 200
    assert ask(closed, "POST", "/sendMessage?topic=secret.topic", ADMIN).status == 200
    for target, response in before.items():
        assert ask(closed, "GET", target).body == response.body
        assert b"127.0.0.1:9/secret" not in response.body


def test_nothing_else_is_open() -> None:
    """Every view asks for a token but these; a page for one of its own, and a new view is none of them by itself."""
    bus = Bus(Settings(), SqliteJournal(MEMORY), ScriptedTransport())
    views = create_app(bus).view_functions
    free = {name for name, view in views.items() if getattr(view, "scopes", "closed") == ()}
    assert free == FREE | FILES | PAGES


@pytest.mark.parametrize("path", ["/", "/dashboard/subscribers", "/dashboard/journal", "/dashboard/settings"])
def test_a_page_shows_nothing_without_a_token(closed: BusServer, path: str) -> None:
    """It asks for one."""
    response = ask(closed, "GET", path)
    assert response.status == 401
    assert "A token is required" in response.text
    assert "secret" not in response.text
