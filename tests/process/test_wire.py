"""The four routes as a client sees them that knows nothing more: methods, paths and plain answers."""

import re

import pytest

from tests.support.answers import TEXT, assert_says
from tests.support.caller import Caller, register_target
from tests.support.raw_client import RawConnection
from tests.support.server import BusServer

ROUTES = {
    "/registerAndKeepAlive": "POST",
    "/deregister": "DELETE",
    "/sendMessage": "POST",
    "/listSubscribers": "GET",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
WRONG = [(method, path) for path, right in ROUTES.items() for method in METHODS if method != right]
#: Registered as spare addresses: nothing is published while they are, so nobody has to listen there.
FIRST, SECOND = "127.0.0.1:9", "127.0.0.1:10"
LIST_LINE = re.compile(r"(?P<address>\S+)  :  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"/registerAndKeepAlive?address={FIRST}"),
        ("DELETE", f"/deregister?address={FIRST}"),
        ("POST", "/sendMessage"),
    ],
)
def test_success_is_said_in_one_word(caller: Caller, method: str, target: str) -> None:
    """Each route that changes something answers 200 and ``success``, without a newline."""
    assert_says(caller.call(method, target), 200, "success")


@pytest.mark.parametrize(("method", "path"), WRONG)
def test_other_methods_are_refused(caller: Caller, method: str, path: str) -> None:
    """Any other method is answered 400 with the one that is accepted, also in ``Allow``."""
    response = caller.call(method, path)
    text = "" if method == "HEAD" else f"Error: Only {ROUTES[path]} accepted"
    assert_says(response, 400, text)
    assert response.header("Allow") == ROUTES[path]


@pytest.mark.parametrize("path", ROUTES)
def test_head_has_no_body(bus: BusServer, path: str) -> None:
    """A HEAD is answered by a head alone: the next answer on the connection follows at once."""
    with RawConnection(bus.port) as connection:
        assert connection.request("HEAD", path).status == 400
        assert_says(connection.request("PUT", path), 400, f"Error: Only {ROUTES[path]} accepted")


@pytest.mark.parametrize("path", ROUTES)
def test_a_refused_body_is_no_request(bus: BusServer, path: str) -> None:
    """The body of a refused request is not read as the next request on the connection."""
    smuggled = b"POST /sendMessage HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    with RawConnection(bus.port) as connection:
        refused = connection.request("PUT", path, body=smuggled)
        assert_says(refused, 400, f"Error: Only {ROUTES[path]} accepted")
        if (refused.header("Connection") or "").lower() == "close":
            assert connection.at_end()
        else:
            assert connection.request("GET", "/listSubscribers").status == 200


def test_the_method_is_judged_first(caller: Caller) -> None:
    """A wrong method with a broken query is refused for its method."""
    response = caller.call("GET", "/registerAndKeepAlive?address=%zz")
    assert_says(response, 400, "Error: Only POST accepted")


@pytest.mark.parametrize(
    "path",
    [
        "/registerAndKeepAlive/",
        "/registerandkeepalive",
        "/RegisterAndKeepAlive",
        "/deregister/",
        "/Deregister",
        "/sendMessage/",
        "/sendmessage",
        "//sendMessage",
        "/sendMessage/more",
        "/listSubscribers/",
        "/listsubscribers",
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "GET"])
def test_paths_are_exact(caller: Caller, method: str, path: str) -> None:
    """A trailing slash, another case, or one slash too many is no route of the bus."""
    assert caller.call(method, f"{path}?address={FIRST}").status == 404


def test_an_empty_list_is_an_empty_body(caller: Caller) -> None:
    """With no subscriber the list is 200 with no byte in it."""
    assert_says(caller.call("GET", "/listSubscribers"), 200, "")


def test_the_list_has_one_line_for_each(caller: Caller) -> None:
    """The list has a line for each live subscriber: its address and when it last renewed, in seconds."""
    for address in (FIRST, SECOND, "127.0.0.1:9/Orders"):
        caller.register(address)
    response = caller.call("GET", "/listSubscribers")
    lines = response.text.splitlines()
    assert (response.status, response.header("Content-Type")) == (200, TEXT)
    assert all(LIST_LINE.fullmatch(line) for line in lines), lines
    assert {line.split("  :  ")[0] for line in lines} == {FIRST, SECOND, "127.0.0.1:9/Orders"}


def test_one_address_is_listed_once_as_it_was_written(caller: Caller) -> None:
    """Two spellings of one address are one subscriber, shown as the client wrote it."""
    for address in ("LocalHost:9", "localhost:9", "http://LOCALHOST:9"):
        assert_says(caller.call("POST", register_target(address)), 200, "success")
    (line,) = caller.call("GET", "/listSubscribers").text.splitlines()
    assert line.split("  :  ")[0].lower().removeprefix("http://") == "localhost:9"


def test_deregistering_ends_a_lease(caller: Caller) -> None:
    """A deregistered subscriber is gone from the list."""
    caller.register(FIRST)
    assert_says(caller.call("DELETE", f"/deregister?address={FIRST}"), 200, "success")
    assert caller.call("GET", "/listSubscribers").body == b""


def test_deregistering_twice_is_success(caller: Caller) -> None:
    """Deregistering who was never registered is success as well."""
    for _ in range(2):
        assert_says(caller.call("DELETE", f"/deregister?address={SECOND}"), 200, "success")


def test_requests_on_one_connection_are_answered_in_turn(bus: BusServer) -> None:
    """A kept connection serves one request after another."""
    with RawConnection(bus.port) as connection:
        for _ in range(20):
            assert_says(connection.request("POST", "/sendMessage", body=b"{}"), 200, "success")
