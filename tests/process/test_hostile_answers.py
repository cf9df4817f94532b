"""Answers that are sound and mean ill: what they ask for beyond their status is not done."""

import base64

import pytest

from tests.support.deadline import eventually
from tests.support.hostilities import BUSY, DELIVERED, REJECTED, Meaning, bomb
from tests.support.mender import Mender
from tests.support.server import BusServer
from tests.support.siege import LONG, siege_of

PAUSES = [name for name, hostility in BUSY.items() if hostility.meaning is Meaning.LATER]
#: Bytes of an answer's body that are kept.
EXCERPT = 1_024


@pytest.mark.parametrize("name", PAUSES)
def test_a_keep_alive_does_not_end_a_pause(bus: BusServer, name: str) -> None:
    """A subscriber that asked for a very long pause is sent nothing more, though it lives and there are events."""
    with siege_of(bus, BUSY[name]) as siege:
        siege.again()
        for _ in range(3):
            siege.register()
            siege.publish()
        eventually(siege.stands(state="paused", pending=4, failed_attempts=1), LONG)
        assert len(siege.hostile.attempts) == 1


@pytest.mark.parametrize("name", [name for name, hostility in REJECTED.items() if hostility.sound])
def test_a_redirect_leads_nowhere(bus: BusServer, name: str) -> None:
    """Of each event that is answered with a redirect the subscriber sees one POST, all of them on one connection."""
    with siege_of(bus, REJECTED[name]) as siege:
        siege.besiege()
        eventually(siege.stands(dead=len(siege.baits)), LONG)
        assert [request.id for request in siege.hostile.received] == siege.baits
        assert {(request.method, request.path) for request in siege.hostile.received} == {("POST", "/event")}
        assert siege.hostile.connections == 1


def test_no_cookie_is_sent_back(bus: BusServer) -> None:
    """After hundreds of cookies that a subscriber set, each request has the headers of the first, and no more."""
    with siege_of(bus, DELIVERED["cookies"]) as siege:
        siege.besiege()
        names = [{header.lower() for header, _ in request.headers} for request in siege.hostile.received]
    assert "cookie" not in names[0]
    assert names == names[:1] * len(names)


def test_a_bomb_is_not_unpacked(bus: BusServer) -> None:
    """What is kept of an answer's body is what came, packed as it was."""
    with siege_of(bus, REJECTED["a bomb with a redirect"]) as siege:
        siege.again()
        eventually(siege.stands(dead=1), LONG)
        (letter,) = Mender(bus.port).dead_letters(address=siege.hostile.address)
    assert base64.b64decode(letter["last_answer"]["base64"]) == bomb()[:EXCERPT]
