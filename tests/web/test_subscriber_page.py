"""What a subscriber's page says of its lease, its options and its credentials."""

import re
from collections.abc import Iterator

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.credentials import NO_CREDENTIALS, GivenCredentials
from eventbus.core.model import Terms
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

HERE, MEMBER = "127.0.0.1:8001", "127.0.0.1:8002"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
JSON = {"Accept": "application/json"}
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"  # noqa: S105 - a test's


@pytest.fixture
def node() -> Iterator[InProcessNode]:
    """A bus without subscribers."""
    with in_process_nodes("here") as (here,):
        yield here


def page_of(node: InProcessNode, whose: str) -> str:
    """Return the page without runs of spaces."""
    return re.sub(r"\s+", " ", node.ask("GET", f"/dashboard/subscriber?{whose}", HTML).text)


@pytest.mark.parametrize("declared", [True, False])
def test_a_declared_subscriber_has_no_lease(node: InProcessNode, *, declared: bool) -> None:
    """Neither its page nor JSON has one, nor when to renew it; that of another one has."""
    node.bus.register(parse_address(HERE), Terms(declared=declared, lease=78))
    page = page_of(node, f"address={HERE}")
    assert ("<dt>Lease</dt>" in page, "Lease left" in page) == (not declared, not declared)
    (listed,) = node.ask("GET", "/listSubscribers", JSON).json["subscribers"]
    assert (listed["renew_after"], listed["expires_at"] is None) == (None if declared else 26.0, declared)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"authorization": "Bearer a"}, "when it renews with Eventbus-Forward-Authorization."),
        ({"secret": SECRET}, "when it renews with Eventbus-Secret."),
        (
            {"authorization": "Bearer a", "secret": SECRET},
            "when it renews with Eventbus-Forward-Authorization and Eventbus-Secret.",
        ),
    ],
)
def test_the_page_names_the_credentials_that_are_missing(
    node: InProcessNode, given: dict[str, str], sentence: str
) -> None:
    """Those alone which it has given; none once they are there."""
    node.bus.register(parse_address(HERE), Terms(), credentials=GivenCredentials(**given))
    assert "when it renews with" not in page_of(node, f"address={HERE}")
    node.bus.dispatcher.lanes[HERE].take_credentials(NO_CREDENTIALS)
    assert sentence in page_of(node, f"address={HERE}")


def test_a_groups_page_has_each_members_own_options(node: InProcessNode) -> None:
    """With what it shares with the others in the list of the group's options."""
    node.bus.register(parse_address(HERE), Terms(max_in_flight=7, retry_for=90), group="mailer")
    node.bus.register(
        parse_address(MEMBER), Terms(timeout=3), group="mailer", credentials=GivenCredentials(authorization="Bearer a")
    )
    page = page_of(node, "group=mailer")
    members, options = page.split("<h2>Options</h2>")
    assert ("Max in flight: 7;" in members, "Timeout: 3 s;" in members) == (True, True)
    assert "Credentials: authorization" in members
    assert ("Retry for" in members, "<dt>Retry for</dt><dd>90 s</dd>" in options) == (False, True)
    assert "Bearer" not in page
