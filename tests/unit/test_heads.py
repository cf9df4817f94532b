"""What is sent of an event is its own, though another one has had its number, or has its id."""

from typing import Any

import pytest

from eventbus.delivery.transport.message import Heads, event_head
from eventbus.signing import signature
from tests.support.events import event

SECRET = b"x" * 32
WALL = 1_795_000_000.0


@pytest.fixture(params=[(), (SECRET,)], ids=["unsigned", "signed"])
def heads(request: pytest.FixtureRequest) -> Heads:
    """Remembers heads."""
    return Heads(request.param)


def test_an_event_with_the_number_of_another_has_its_own_headers(heads: Heads) -> None:
    """After a failover that has lost events the next ones get their numbers: id, topic and length are their own."""
    lost = event(7, b"lost")
    new = lost._replace(id="new", topic="orders", body=b"of another length")
    for sent in (lost, new, lost, new):
        assert heads.of_event(sent) == event_head(sent)


@pytest.mark.parametrize(
    "own", [{"topic": "orders"}, {"head": b"Content-Type: text/plain\r\n"}, {"body": b"of another length"}]
)
def test_an_event_with_the_id_of_another_has_its_own_headers(heads: Heads, own: dict[str, Any]) -> None:
    """CloudEvents bring their ids, which are unique for each source only."""
    one = event(7, b"one")
    other = one._replace(seq=8, **own)
    for sent in (one, other, one, other):
        assert heads.of_event(sent) == event_head(sent)


def test_an_event_with_the_number_or_the_id_of_another_has_its_own_signature() -> None:
    """It is signed with its own id and body, within the same second too."""
    heads = Heads([SECRET])
    lost = event(7, b"lost")
    for sent in (lost, lost._replace(id="new"), lost._replace(body=b"new"), lost._replace(id="new", body=b"new")):
        said = heads.of_attempt(sent, 1, WALL)
        assert signature([SECRET], sent.id, int(WALL), sent.body) in said
