"""A browser gets nothing from a bus without tokens by a name that may be somebody else's; programs may use any name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.answers import assert_problem
from tests.support.caller import JSON, Caller
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_client import RawConnection, Response, render_request
from tests.support.server import BusServer, refusal

NAME, THEIRS = "bus.example.com", "evil.example"
ADMIN = "admin-0123456789"
#: What browsers send: for a page, for a script's request in its own origin over plain http, and over https.
BROWSERS = [
    [("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Language", "en-US")],
    [("Accept", "*/*"), ("Accept-Language", "en-US,en;q=0.9")],
    [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Eventbus-Page", "dashboard")],
    [("Origin", f"http://{THEIRS}"), ("X-Forwarded-Host", "localhost")],
]
PROGRAM = [("Accept", "*/*"), ("User-Agent", "curl/8.0")]
TARGETS = [
    ("POST", "/sendMessage"),
    ("POST", "/registerAndKeepAlive?address=127.0.0.1:9"),
    ("DELETE", "/deregister?address=127.0.0.1:9"),
    ("GET", "/listSubscribers"),
    ("GET", "/events"),
    ("GET", "/metrics"),
    ("GET", "/"),
    ("GET", "/dashboard/journal"),
    ("GET", "/docs"),
]


@pytest.fixture(scope="module")
def open_bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus without tokens that knows one name."""
    with BusServer(tmp_path_factory.mktemp("open"), {"EVENTBUS_HOSTS": f"{NAME},"}) as bus:
        yield bus


def ask(bus: BusServer, method: str, target: str, host: str, sent: list[tuple[str, str]]) -> Response:
    """What the bus answers a client that asks by this name."""
    with RawConnection(bus.port) as connection:
        head = render_request(method, target, sent, b"{}" if method == "POST" else b"")
        connection.send(head.replace(f"Host: {LOOPBACK}".encode(), f"Host: {host}".encode(), 1))
        return connection.read()


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize(("method", "target"), TARGETS)
def test_a_browser_that_asks_by_a_foreign_name_gets_nothing(
    open_bus: BusServer, method: str, target: str, browser: list[tuple[str, str]]
) -> None:
    """Whatever it asks: 403, and a sentence that says what to set. Nothing is read, registered or published."""
    caller = Caller(open_bus.port)
    before = caller.call("GET", "/events?after=earliest").body
    response = ask(open_bus, method, target, f"{THEIRS}:{open_bus.port}", browser)
    assert response.status == 403
    assert f"set EVENTBUS_HOSTS={THEIRS} for the bus, or set tokens" in response.text
    assert caller.subscribers() == []
    assert caller.call("GET", "/events?after=earliest").body == before
    assert 'reason="foreign_host"' in caller.call("GET", "/metrics").text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", NAME, "eventbus", "bus.internal"])
@pytest.mark.parametrize(("method", "target"), [("GET", "/"), ("GET", "/listSubscribers"), ("GET", "/docs")])
def test_a_browser_asks_by_the_names_that_are_the_bus_s(
    open_bus: BusServer, host: str, method: str, target: str
) -> None:
    """By what is set, by addresses, and by names that nobody else can have."""
    for browser in BROWSERS[:3]:
        assert ask(open_bus, method, target, f"{host}:{open_bus.port}", browser).status == 200


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_answer_lets_another_origin_read_it(open_bus: BusServer, method: str) -> None:
    """A browser keeps it from a page of another origin, and sends no request that has to be asked for first."""
    asking = [("Origin", f"http://{THEIRS}"), ("Access-Control-Request-Method", "DELETE")]
    for _, target in TARGETS:
        response = ask(open_bus, method, target, NAME, asking)
        assert not [name for name, _ in response.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(("method", "target"), TARGETS[1:])
def test_a_program_asks_by_any_name(open_bus: BusServer, method: str, target: str) -> None:
    """What is no browser is not asked for its host."""
    assert ask(open_bus, method, target, "anything.example", PROGRAM).status == 200
    Caller(open_bus.port).deregister("127.0.0.1:9")


def test_probes_answer_by_any_name(open_bus: BusServer) -> None:
    """What watches the bus may look like a browser."""
    for path in ("/healthz", "/readyz"):
        assert ask(open_bus, "GET", path, THEIRS, BROWSERS[0]).status == 200


def test_who_wants_json_gets_a_problem(open_bus: BusServer) -> None:
    """The refusal is a problem for who accepts JSON."""
    assert_problem(ask(open_bus, "GET", "/events", THEIRS, [*BROWSERS[3], JSON]), 403)


def test_with_tokens_a_browser_may_ask_by_any_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is answered without a token then, which no foreign page has."""
    with BusServer(tmp_path_factory.mktemp("closed"), {"EVENTBUS_ADMIN_TOKENS": ADMIN}) as bus:
        for method, target in TARGETS[3:6]:
            assert ask(bus, method, target, THEIRS, BROWSERS[1]).status == 401
        login = ask(bus, "GET", "/", THEIRS, BROWSERS[0])
        assert (login.status, "A token is required" in login.text) == (401, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("EVENTBUS_HOSTS", "http://bus.example.com"), ("EVENTBUS_HOSTS", ","), ("EVENTBUS_SUBSCRIBE_TOKENS", " , ,")],
)
def test_a_setting_that_would_leave_it_open_stops_the_start(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: str
) -> None:
    """One sentence names the setting."""
    sentence = refusal(BusServer(tmp_path_factory.mktemp("bus"), {name: value}), name)
    assert sentence.startswith(f"eventbus cannot start: {name} ")


@pytest.mark.parametrize(
    ("settings", "binds", "warned"),
    [
        ({}, (), True),
        ({}, ("--bind", "127.0.0.1:{}"), False),
        ({"EVENTBUS_ADMIN_TOKENS": ADMIN}, (), False),
    ],
)
def test_the_dashboard_tells_of_an_open_bus(
    tmp_path: Path, settings: dict[str, str], binds: tuple[str, ...], *, warned: bool
) -> None:
    """Where there are no tokens and other machines can reach it, and not elsewhere."""
    port = free_port()
    with BusServer(tmp_path, settings, port=port, arguments=[bind.format(port) for bind in binds]):
        page = Caller(port).call("GET", "/", [("Authorization", f"Bearer {ADMIN}")])
        assert page.status == 200
        assert ("No tokens are set: everyone who can reach this bus" in page.text) is warned
