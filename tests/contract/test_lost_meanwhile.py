"""What a bus has read does not count any more when it loses all that it had before it acts on that."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventbus.dead_letters import Chosen
from eventbus.delivery.outcome import Answer
from eventbus.errors import Conflict, JournalUnavailable
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN, UNWANTED
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.shared import SharedBus, shared

pytestmark = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
A = "127.0.0.1:8001"


@pytest.fixture
def lose(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator["Lose"]:
    """A Redis server, and a bus that loses all once what a test says has been read."""
    with RedisServer(tmp_path, durable=False) as server:
        yield Lose(server, monkeypatch)


class Lose:
    """Lets a bus lose all that it has in the midst of something."""

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = server.url
        self._server = server
        self._monkeypatch = monkeypatch
        self.times = 0

    def after(self, bus: SharedBus, name: str, *, wholly: bool = True) -> None:
        """The first time that ``journal.name`` has been read the bus counts as gone, and begins anew.

        Not ``wholly``: it has lost all, and is no new node yet.
        """
        read: Callable[..., Any] = getattr(bus.journal, name)
        begin = bus.journal.members.look if wholly else bus.journal.members.lost

        def read_and_lose(*values: Any, **named: Any) -> Any:
            found = read(*values, **named)
            self.times += 1
            if self.times == 1:
                self._server.ask("ZREM", "{eventbus}:nodes", bus.journal.members.id)
                begin()
            return found

        self._monkeypatch.setattr(bus.journal, name, read_and_lose)


def with_a_dead_letter(bus: SharedBus, said: Answer) -> None:
    """Let an event be refused for good."""
    bus.transport.always = said
    lane = bus.register(A)
    bus.publish()
    eventually(lambda: lane.dead == 1, 10)
    bus.bus.dispatcher.checkpointer.save()


@pytest.mark.parametrize("wholly", [False, True])
def test_a_record_that_was_read_before_is_not_adopted(lose: Lose, wholly: bool) -> None:
    """A subscriber whose record was being read when all was lost is not carried on with from that record."""
    with shared(lose.url, always=TAKEN) as bus:
        bus.register(A)
        bus.sharing._lose([A])  # noqa: SLF001 - as when it could not be adopted
        lose.after(bus, "kept", wholly=wholly)
        bus.sharing.claim(A)
        assert A not in bus.bus.dispatcher.lanes
        bus.journal.members.look()
        bus.sharing.claim(A)
        assert lose.times > 1
        assert A in bus.bus.dispatcher.lanes


@pytest.mark.parametrize(("decide", "error"), [("replay", Conflict), ("discard", JournalUnavailable)])
def test_a_decision_about_a_dead_letter_that_was_read_before_does_not_count(
    lose: Lose, decide: str, error: type[Exception]
) -> None:
    """Under the same number there may be another one by now: nothing of it is kept, and who asked is told."""
    with shared(lose.url) as bus:
        with_a_dead_letter(bus, UNWANTED)
        letter = bus.journal.last_dead_letter()
        lose.after(bus, "dead_letter")
        with pytest.raises(error):
            getattr(bus.bus.dead_letters, decide)(Chosen(id=letter))
        assert bus.journal.dead_letter(letter) is not None


def test_events_that_were_read_before_are_not_removed(lose: Lose) -> None:
    """Under the same numbers there may be others by now, which nobody has got: the next look decides anew."""
    with shared(lose.url, retention_seconds=1, always=TAKEN) as bus:
        lane = bus.register(A)
        bus.publish(2, at=1_000.0)
        eventually(lambda: lane.delivered == 2, 10)
        bus.bus.dispatcher.checkpointer.save()
        lose.after(bus, "topics")
        bus.bus.retention.look()
        assert bus.journal.usage().events == 2
        bus.journal.members.look()
        eventually(lambda: A in bus.bus.dispatcher.lanes, 10)
        bus.bus.retention.look()
        assert bus.journal.usage().events == 0
