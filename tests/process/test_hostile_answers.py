"""Answers that are sound and mean ill: what they ask for beyond their status is not done."""

import base64

import pytest

from tests.support.deadline import eventually
from tests.support.hostile_behaviours import BUSY, DELIVERED, REJECTED, Meaning, bomb
from tests.support.isolation import LONG, isolation_run
from tests.support.repair import RepairClient
from tests.support.server import BusServer

PAUSES = [name for name, behaviour in BUSY.items() if behaviour.meaning is Meaning.LATER]
#: Bytes of an answer's body that are kept.
EXCERPT = 1_024


@pytest.mark.parametrize("name", PAUSES)
def test_a_keep_alive_does_not_end_a_pause(bus: BusServer, name: str) -> None:
    """A subscriber that asked for a very long pause is sent nothing more, though it lives and there are events."""
    with isolation_run(bus, BUSY[name]) as run:
        run.again()
        for _ in range(3):
            run.register()
            run.publish()
        eventually(run.stands(state="paused", pending=4, failed_attempts=1), LONG)
        assert len(run.hostile.attempts) == 1


@pytest.mark.parametrize("name", [name for name, behaviour in REJECTED.items() if behaviour.sound])
def test_a_redirect_leads_nowhere(bus: BusServer, name: str) -> None:
    """Of each event that is answered with a redirect the subscriber sees one POST, all of them on one connection."""
    with isolation_run(bus, REJECTED[name]) as run:
        run.make_attempts()
        eventually(run.stands(dead=len(run.baits)), LONG)
        assert [request.id for request in run.hostile.received] == run.baits
        assert {(request.method, request.path) for request in run.hostile.received} == {("POST", "/event")}
        assert run.hostile.connections == 1


def test_no_cookie_is_sent_back(bus: BusServer) -> None:
    """After hundreds of cookies that a subscriber set, each request has the headers of the first, and no more."""
    with isolation_run(bus, DELIVERED["cookies"]) as run:
        run.make_attempts()
        names = [{header.lower() for header, _ in request.headers} for request in run.hostile.received]
    assert "cookie" not in names[0]
    assert names == names[:1] * len(names)


def test_a_bomb_is_not_unpacked(bus: BusServer) -> None:
    """What is kept of an answer's body is what came, packed as it was."""
    with isolation_run(bus, REJECTED["a bomb with a redirect"]) as run:
        run.again()
        eventually(run.stands(dead=1), LONG)
        (letter,) = RepairClient(bus.port).dead_letters(address=run.hostile.address)
    assert base64.b64decode(letter["last_answer"]["base64"]) == bomb()[:EXCERPT]
