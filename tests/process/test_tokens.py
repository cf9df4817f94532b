"""Who may call what: bearer tokens and scopes, on every route, and nowhere to be read again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.settings import MEMORY, Settings
from eventbus.core.tokens import Scope
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from tests.support.answers import assert_problem
from tests.support.caller import JSON, Caller
from tests.support.raw_client import RawConnection, Response
from tests.support.scripted import ScriptedTransport
from tests.support.server import BusServer, refusal

PUBLISHER, OTHER_PUBLISHER = "publisher-0123456789", "publisher-9876543210"
SUBSCRIBER, ADMIN, UNKNOWN = "subscriber-0123456789", "admin-0123456789+/==", "unknown-0123456789"
VIEWER = "viewer-0123456789"
TOKENS = {
    "EVENTBUS_PUBLISH_TOKENS": f"{PUBLISHER}, {OTHER_PUBLISHER}",
    "EVENTBUS_SUBSCRIBE_TOKENS": SUBSCRIBER,
    "EVENTBUS_VIEW_TOKENS": VIEWER,
    "EVENTBUS_ADMIN_TOKENS": ADMIN,
}
SCOPES = {PUBLISHER: "publish", OTHER_PUBLISHER: "publish", SUBSCRIBER: "subscribe", VIEWER: "view", ADMIN: "admin"}
ADDRESS = "127.0.0.1:9"
#: Every route, what it takes, and its answer to who may; nothing is published while anybody is registered.
ROUTES = [
    ("POST", "/sendMessage", "publish", 200),
    ("POST", "/sendMessage?batch=lines", "publish", 200),
    ("POST", f"/registerAndKeepAlive?address={ADDRESS}", "subscribe", 200),
    ("GET", "/listSubscribers", "subscribe view", 200),
    ("DELETE", f"/deregister?address={ADDRESS}", "subscribe", 200),
    ("GET", "/events", "subscribe view", 200),
    ("GET", "/events/none", "subscribe view", 404),
    ("GET", "/deadLetters", "view", 200),
    ("POST", "/deadLetters/replay?all=true", "admin", 200),
    ("GET", "/deadLetters/replays/none", "view", 404),
    ("DELETE", "/deadLetters?all=true", "admin", 200),
    ("POST", f"/replay?address={ADDRESS}&from=earliest", "admin", 409),
    ("GET", "/metrics", "view", 200),
]
#: Their blueprints.
PARTS = ("subscribers.", "messages.", "events.", "dead_letters.", "replays.", "operations.")
OPEN = [("GET", "/healthz", 200), ("GET", "/readyz", 200), ("GET", "/nowhere", 404), ("GET", "/sendMessage", 400)]


def bearer(token: str) -> tuple[str, str]:
    """The header that a token is sent in."""
    return "Authorization", f"Bearer {token}"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus with tokens for every scope."""
    with BusServer(tmp_path_factory.mktemp("closed"), TOKENS) as bus:
        yield bus


@pytest.fixture
def ask(closed: BusServer) -> Caller:
    """Calls that bus."""
    return Caller(closed.port)


def assert_challenged(response: Response, status: int, **said: str) -> None:
    """The answer is this status, with a challenge of RFC 6750 that says this."""
    assert response.status == status, response.text
    assert response.text.startswith("Error:")
    details = "".join(f', {name}="{value}"' for name, value in said.items())
    assert response.header("WWW-Authenticate") == f'Bearer realm="eventbus"{details}'


@pytest.mark.parametrize(("method", "target", "scope", "status"), ROUTES)
def test_a_route_is_open_to_its_scope_and_to_an_administrator(
    ask: Caller, method: str, target: str, scope: str, status: int
) -> None:
    """Without a token, and with one that is not known, a route answers 401; with another scope's 403."""
    assert_challenged(ask.call(method, target), 401)
    assert_challenged(ask.call(method, target, [bearer(UNKNOWN)]), 401, error="invalid_token")
    for token, theirs in SCOPES.items():
        response = ask.call(method, target, [bearer(token)])
        if theirs in (*scope.split(), "admin"):
            assert response.status == status, (token, response.text)
            assert response.header("WWW-Authenticate") is None
        else:
            assert_challenged(response, 403, error="insufficient_scope", scope=scope.split(maxsplit=1)[0])


@pytest.mark.parametrize(("method", "target", "status"), OPEN)
def test_health_and_what_leads_nowhere_need_no_token(ask: Caller, method: str, target: str, status: int) -> None:
    """Whether the bus is alive and ready is told to everybody, and so is that a route does not exist."""
    for headers in ([], [bearer(UNKNOWN)], [bearer(PUBLISHER)]):
        assert ask.call(method, target, headers).status == status


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/events", "/metrics", "/deadLetters"])
def test_no_method_gets_around_the_tokens(ask: Caller, method: str, path: str) -> None:
    """HEAD and OPTIONS, which are answered by themselves, need what the route needs."""
    with RawConnection(ask.port) as connection:
        assert connection.request(method, path).status == 401
    assert ask.call(method, path, [bearer(ADMIN)]).status == 200


@pytest.mark.parametrize("name", ["access_token", "token", "authorization", "Authorization"])
def test_a_token_in_the_query_is_not_taken(ask: Caller, name: str) -> None:
    """Only the header is read: a URL ends up in logs."""
    assert_challenged(ask.call("POST", f"/sendMessage?{name}={ADMIN}"), 401)
    assert_challenged(ask.call("POST", f"/sendMessage?{name}=Bearer%20{ADMIN}"), 401)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_token_in_the_body_or_a_cookie_is_not_taken(ask: Caller, kind: str) -> None:
    """A form and a cookie are no place for a token either."""
    headers = [("Content-Type", kind), ("Cookie", f"access_token={ADMIN}"), ("X-Authorization", f"Bearer {ADMIN}")]
    assert_challenged(ask.call("POST", "/sendMessage", headers, f"access_token={ADMIN}".encode()), 401)


@pytest.mark.parametrize("header", [ADMIN, f"Basic {ADMIN}", f"Token {ADMIN}", "Bearer", f"Bearer {ADMIN[:-1]}", ""])
def test_only_bearer_and_a_whole_token_are_taken(ask: Caller, header: str) -> None:
    """Anything else in the header is an invalid token."""
    assert_challenged(ask.call("GET", "/metrics", [("Authorization", header)]), 401, error="invalid_token")


@pytest.mark.parametrize("tokens", [(ADMIN, UNKNOWN), (UNKNOWN, ADMIN), (PUBLISHER, ADMIN)])
def test_two_authorizations_are_none(ask: Caller, tokens: tuple[str, str]) -> None:
    """A header that is sent twice is not known, so that nobody in between can add a token to another."""
    assert ask.call("GET", "/metrics", map(bearer, tokens)).status in (400, 401)


def test_a_token_rotates_without_a_gap(ask: Caller) -> None:
    """While two tokens of a scope are set, both of them publish."""
    for token in (PUBLISHER, OTHER_PUBLISHER):
        assert ask.publish(b"{}", bearer(token))


def test_a_refusal_is_a_problem_for_who_accepts_json(ask: Caller) -> None:
    """With ``Accept: application/json`` 401 and 403 are problems (RFC 9457), with the same challenge."""
    assert_problem(ask.call("GET", "/events", [JSON]), 401)
    response = ask.call("GET", "/events", [JSON, bearer(PUBLISHER)])
    assert assert_problem(response, 403)["detail"] == "This token may not subscribe."
    assert 'scope="subscribe"' in (response.header("WWW-Authenticate") or "")


def test_the_body_of_a_refused_request_is_no_request(ask: Caller) -> None:
    """What follows a refused request's head is never served as a request of its own."""
    smuggled = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode()
    with RawConnection(ask.port) as connection:
        assert connection.request("POST", "/sendMessage", body=smuggled).status == 401
        try:
            assert connection.request("GET", "/healthz").text == "ok"
        except (OSError, EOFError):
            return  # closed instead: as good


def test_tokens_are_written_nowhere(closed: BusServer, ask: Caller) -> None:
    """No token that was set or sent is in an answer, in the metrics or in the log, whatever went wrong with it."""
    found = []
    for token in (UNKNOWN, *SCOPES):
        for method, target, *_ in ROUTES:
            found.append(ask.call(method, target, [bearer(token)]))
        found.append(ask.call("GET", f"/events?after={UNKNOWN}%zz&access_token={token}"))
        found.append(ask.call("GET", "/metrics", [("Authorization", f"Basic {token}"), JSON]))
    everything = "".join(f"{response.headers}{response.text}" for response in found) + closed.log_text()
    assert "eventbus_events_accepted_total" in everything
    for token in (UNKNOWN, *SCOPES):
        assert token not in everything


@pytest.mark.parametrize("line", ["Authorization : Bearer {}", "Authorization: Bearer {}\0", "Authorization Bearer {}"])
def test_a_malformed_header_is_refused_without_its_token(closed: BusServer, line: str) -> None:
    """A header that cannot be read is refused by what is wrong with it, and its value is not repeated."""
    with RawConnection(closed.port) as connection:
        connection.send(f"GET /metrics HTTP/1.1\r\nHost: x\r\n{line.format(ADMIN)}\r\n\r\n".encode())
        response = connection.read()
    assert response.status == 400
    assert ADMIN not in response.text
    assert ADMIN not in closed.log_text()


# What the start says


def warnings_of(bus: BusServer) -> list[str]:
    """What the start warns of with regard to who may do what, each warning once."""
    return re.findall(r"WARNING \S+ (nobody may \w+|everyone who can reach this port)", bus.log_text())


def test_what_has_no_token_is_closed_and_the_start_says_so(tmp_path: Path) -> None:
    """With tokens for some scopes alone, the others are closed to everybody, and the log names each."""
    with BusServer(tmp_path, {"EVENTBUS_PUBLISH_TOKENS": PUBLISHER}) as bus:
        ask = Caller(bus.port)
        assert warnings_of(bus) == ["nobody may subscribe", "nobody may admin"]
        assert ask.publish(b"{}", bearer(PUBLISHER))
        for method, target, scope, _ in ROUTES:
            if "publish" not in scope:
                assert ask.call(method, target).status == 401
                assert ask.call(method, target, [bearer(PUBLISHER)]).status == 403


def test_an_administrators_token_closes_the_rest_but_to_itself(tmp_path: Path) -> None:
    """With an administrator's token alone nothing is out of reach, so that there is nothing to warn of."""
    with BusServer(tmp_path, {"EVENTBUS_ADMIN_TOKENS": ADMIN}) as bus:
        assert warnings_of(bus) == []
        for method, target, _, status in ROUTES:
            assert Caller(bus.port).call(method, target).status == 401
            assert Caller(bus.port).call(method, target, [bearer(ADMIN)]).status == status


def test_without_tokens_everything_is_open_and_the_start_says_so(bus: BusServer, caller: Caller) -> None:
    """A bus with no tokens at all takes every request, a token in it or not, and has warned of that."""
    assert warnings_of(bus) == ["everyone who can reach this port"]
    for method, target, _, status in ROUTES:
        assert caller.call(method, target).status == status
        assert caller.call(method, target, [bearer(UNKNOWN)]).status == status


def test_a_wrong_token_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    """A token that is too short stops the start with its variable's name, and is not in the log."""
    bus = BusServer(tmp_path, {"EVENTBUS_ADMIN_TOKENS": f"{ADMIN},sesame"})
    assert refusal(bus, "EVENTBUS_ADMIN_TOKENS: number 2")
    assert "sesame" not in bus.log_text()
    assert ADMIN not in bus.log_text()


def test_every_view_states_its_scopes() -> None:
    """No view leaves it to the default who may call it; of those that this page knows, two are for everybody."""
    bus = Bus(Settings(), SqliteJournal(MEMORY), ScriptedTransport())
    views = create_app(bus).view_functions
    silent = [name for name, view in views.items() if not hasattr(view, "scopes")]
    assert silent == []
    scopes = {name: view.scopes for name, view in views.items() if name.startswith(PARTS)}  # type: ignore[attr-defined]
    assert {name for name, some in scopes.items() if not some} == {"operations.healthz", "operations.readyz"}
    assert {scope for some in scopes.values() for scope in some} == {*Scope}
    assert len(ROUTES) - 1 == len([some for some in scopes.values() if some])
