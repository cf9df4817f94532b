"""Credentials reach the node that owns the subscription, sealed; where that cannot be, the registration is refused."""

import json
from collections.abc import Iterator

import pytest

from eventbus.core.credentials import Credentials
from eventbus.core.tokens import Scope, tokens_of
from tests.support.in_process_nodes import InProcessNode, in_process_nodes

THERE = "127.0.0.1:8002"
REGISTER = f"/registerAndKeepAlive?address={THERE}"
AUTHORIZATION, SECRET = "Bearer not-for-redis", "whsec_" + "QUJD" * 8
HEADERS = {"Eventbus-Forward-Authorization": AUTHORIZATION, "Eventbus-Secret": SECRET, "Accept": "application/json"}
TOKEN = {"Authorization": "Bearer subscribe-01234567"}

Two = tuple[InProcessNode, InProcessNode]


@pytest.fixture
def two() -> Iterator[Two]:
    """Two nodes with a token; the first knows that the second owns a subscription."""
    with in_process_nodes("here", "there", tokens=tokens_of({Scope.SUBSCRIBE: "subscribe-01234567"})) as (here, there):
        here.owners[THERE] = "there"
        yield here, there


def credentials_of(node: InProcessNode) -> Credentials:
    """What a node authorizes and signs with."""
    return node.bus.dispatcher.lanes[THERE].credentials


def test_credentials_are_passed_on_and_nobody_reads_them(two: Two) -> None:
    """They are the owner's then, and a renewal without them is passed on as any request."""
    here, there = two
    answer = here.ask("POST", REGISTER, HEADERS | TOKEN)
    assert (answer.status_code, answer.json["credentials"]) == (200, ["authorization", "secret"])
    kept = credentials_of(there)
    assert (kept.authorization, kept.secrets[0].value) == (AUTHORIZATION, b"ABC" * 8)
    assert here.ask("POST", REGISTER, TOKEN).text == "success"
    assert credentials_of(there).sends_as(kept)
    sealed, open_one = (json.loads(call.partition(b"\n")[2]) for call in here.calls)
    assert "request" not in sealed
    assert "sealed" not in open_one
    for hidden in (b"not-for-redis", b"QUJDQUJD"):
        assert hidden not in b"".join(here.calls)


def test_an_empty_credential_is_passed_on_too(two: Two) -> None:
    """It removes the one that is there."""
    here, there = two
    here.ask("POST", REGISTER, HEADERS | TOKEN)
    assert here.ask("POST", REGISTER, TOKEN | {"Eventbus-Secret": ""}).text == "success"
    assert (credentials_of(there).authorization, credentials_of(there).secrets) == (AUTHORIZATION, ())


def test_an_invalid_one_is_refused_by_the_owner(two: Two) -> None:
    """The answer is the owner's, and does not repeat it."""
    here, _ = two
    answer = here.ask("POST", REGISTER, HEADERS | TOKEN | {"Eventbus-Secret": "whsec_not-for-redis"})
    assert answer.status_code == 400
    assert answer.json["detail"].startswith("Eventbus-Secret must be whsec_ and the Base64 of 24 to 64")
    assert "not-for-redis" not in answer.text


def test_other_requests_carry_no_credentials(two: Two) -> None:
    """The headers mean nothing there, and are not passed on."""
    here, _ = two
    for method, target in (("GET", "/listSubscribers"), ("DELETE", f"/deregister?address={THERE}")):
        assert here.ask(method, target, HEADERS | TOKEN).status_code == 200
    assert here.calls
    assert [call for call in here.calls if b"sealed" in call or b"redis" in call] == []


def test_nodes_without_a_token_pass_no_credentials_on() -> None:
    """The owner itself takes them; another node says what to set, and nothing is changed."""
    with in_process_nodes("here", "there") as (here, there):
        here.owners[THERE] = "there"
        assert there.ask("POST", REGISTER, HEADERS).status_code == 200
        for headers, status in ((HEADERS, 409), ({"Eventbus-Secret": SECRET}, 400)):
            answer = here.ask("POST", REGISTER, headers)
            assert answer.status_code == status
            assert "EVENTBUS_SUBSCRIBE_TOKENS or EVENTBUS_ADMIN_TOKENS, to the same on all nodes." in answer.text
            assert "not-for-redis" not in answer.text
        assert here.calls == []
        assert here.ask("POST", REGISTER).text == "success"
        assert credentials_of(there).authorization == AUTHORIZATION
