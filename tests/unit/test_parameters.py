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
    """Every route of the OpenAPI document takes the documented parameters, and no other."""
    documented = {
        (method.upper(), path): {part["name"] for part in operation.get("parameters", ()) if part["in"] == "query"}
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    pages = {route: set(names) for route, names in PARAMETERS.items() if route[1] == "/" or "/dashboard" in route[1]}
    assert {route: names for route, names in documented.items() if names and route not in pages} == {
        route: set(names) for route, names in PARAMETERS.items() if route not in pages
    }


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("topics", "topic"), ("topc", "topic"), ("Topic", "topic"), ("TOPICS", "topic"), ("adress", "address"),
     ("maxInFlight", "max_in_flight"), ("max-in-flight", "max_in_flight"), ("time_out", "timeout"),
     ("leases", "lease")],
)  # fmt: skip
def test_the_nearest_name_is_suggested(name: str, nearest: str) -> None:
    """The error about a misspelt parameter names the one that was probably meant."""
    known = parameters_of("POST", "/registerAndKeepAlive")
    assert f"{name!r} is no parameter of /registerAndKeepAlive; did you mean {nearest}?" in unknown_parameter(
        name, "/registerAndKeepAlive", known
    )


def test_a_name_that_is_near_to_nothing_lists_all_names() -> None:
    """Where no name is near, the error lists all names, or says that there are none."""
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


def test_a_forwarded_query_has_known_parameters_alone() -> None:
    """A query that goes to other nodes has no parameter that the page does not take."""
    assert without_unknown(parse_query("q=a%26b&x=1&start=2"), "GET", "/dashboard/subscribers") == "q=a%26b&start=2"


ROUTES = [
    ("POST", "/registerAndKeepAlive?address=127.0.0.1:9&"), ("DELETE", "/deregister?address=127.0.0.1:9&"),
    ("POST", "/sendMessage?"), ("GET", "/listSubscribers?"), ("GET", "/events?"), ("GET", "/deadLetters?"),
    ("DELETE", "/deadLetters?all=true&"), ("POST", "/deadLetters/replay?all=true&"), ("GET", "/?"),
    ("GET", "/dashboard/subscribers?"), ("GET", "/dashboard/settings?"), ("GET", "/healthz?"), ("GET", "/readyz?"),
    ("GET", "/metrics?"), ("GET", "/openapi.json?"), ("GET", "/docs?"), ("HEAD", "/events?"),
]  # fmt: skip


@pytest.mark.parametrize("names", [["here"], ["here", "there"]], ids=["alone", "two nodes"])
def test_every_route_reports_what_it_does_not_take(names: list[str]) -> None:
    """A client that asks for JSON is refused; for others a header names what is ignored, and it is counted."""
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
