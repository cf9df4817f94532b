"""Which parameters each route takes, and what becomes of others."""

import pytest

from eventbus.web.openapi.document import document
from eventbus.web.parameters import (
    MAX_IGNORED_NAMES,
    MAX_NAME_CHARACTERS,
    PARAMETERS,
    ignored_header,
    parameters_of,
    unknown_parameter,
    without_unknown,
)
from eventbus.web.query import parse_query
from tests.support.in_process_nodes import in_process_nodes

JSON = {"Accept": "application/json"}


def test_the_table_is_what_the_interface_says() -> None:
    """Every route of the OpenAPI document takes the parameters that the document tells, and no other."""
    told = {
        (method.upper(), path): {part["name"] for part in operation.get("parameters", ()) if part["in"] == "query"}
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    pages = {route: set(names) for route, names in PARAMETERS.items() if route[1] == "/" or "/dashboard" in route[1]}
    assert {route: names for route, names in told.items() if names and route not in pages} == {
        route: set(names) for route, names in PARAMETERS.items() if route not in pages
    }


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("topics", "topic"), ("topc", "topic"), ("Topic", "topic"), ("TOPICS", "topic"), ("adress", "address"),
     ("maxInFlight", "max_in_flight"), ("max-in-flight", "max_in_flight"), ("time_out", "timeout"),
     ("leases", "lease")],
)  # fmt: skip
def test_the_nearest_name_is_told(name: str, nearest: str) -> None:
    """Who misspells a parameter is told the one that was probably meant."""
    known = parameters_of("POST", "/registerAndKeepAlive")
    assert f"{name!r} is no parameter of /registerAndKeepAlive; did you mean {nearest}?" in unknown_parameter(
        name, "/registerAndKeepAlive", known
    )


def test_what_is_near_to_nothing_is_told_what_there_is() -> None:
    """Where nothing is near, the names are told; where there are none, that."""
    assert unknown_parameter("colour", "/deregister", ("address",)).endswith("/deregister. It takes address.")
    assert unknown_parameter("x" * 9_999, "/events/<path:event_id>", ()).endswith("/events/. It takes none.")
    assert len(unknown_parameter("x" * 9_999, "/replay", parameters_of("POST", "/replay"))) < 200


def test_the_header_is_bounded_and_harmless() -> None:
    """Whatever names come, the header is visible ASCII, and not long."""
    value = ignored_header(["a\r\nb", "caf\xe9", "a,b", "x" * 999, *map(str, range(99))])
    assert value.startswith("a%0D%0Ab, caf%C3%A9, a%2Cb, xxx")
    assert (value.isascii(), value.isprintable()) == (True, True)
    assert len(value.split(", ")) == MAX_IGNORED_NAMES
    assert len(ignored_header(["\U0001f600" * 99])) <= MAX_NAME_CHARACTERS * 12


def test_a_page_is_gathered_by_what_it_takes() -> None:
    """What a page does not take is left out where others are asked for their part of it."""
    assert without_unknown(parse_query("q=a%26b&x=1&start=2"), "GET", "/dashboard/subscribers") == "q=a%26b&start=2"


ROUTES = [
    ("POST", "/registerAndKeepAlive?address=127.0.0.1:9&"), ("DELETE", "/deregister?address=127.0.0.1:9&"),
    ("POST", "/sendMessage?"), ("GET", "/listSubscribers?"), ("GET", "/events?"), ("GET", "/deadLetters?"),
    ("DELETE", "/deadLetters?all=true&"), ("POST", "/deadLetters/replay?all=true&"), ("GET", "/?"),
    ("GET", "/dashboard/subscribers?"), ("GET", "/dashboard/settings?"), ("GET", "/healthz?"), ("GET", "/readyz?"),
    ("GET", "/metrics?"), ("GET", "/openapi.json?"), ("GET", "/docs?"), ("HEAD", "/events?"),
]  # fmt: skip


@pytest.mark.parametrize("names", [["here"], ["here", "there"]], ids=["alone", "two nodes"])
def test_every_route_tells_of_what_it_does_not_take(names: list[str]) -> None:
    """Who asks for JSON is refused, and nothing happens; others are answered as ever, told by a header, and counted."""
    with in_process_nodes(*names) as (here, *others):
        for number, (method, target) in enumerate(ROUTES, 1):
            refused = here.ask(method, f"{target}topics=x", JSON)
            assert refused.status_code == 400, target
            assert method == "HEAD" or "'topics' is no parameter" in refused.json["detail"]
            plain = here.ask(method, f"{target}topics=x&%0A=1")
            assert (plain.status_code, plain.headers["Eventbus-Ignored"]) == (200, "topics, %0A"), target
            assert here.bus.counters.ignored_parameters == number
        assert [other.bus.counters.ignored_parameters for other in others] == [0] * len(others)
        assert here.bus.feed.newest == 1
        assert "Eventbus-Ignored" not in here.ask("GET", "/events?after=now&=1&&").headers
