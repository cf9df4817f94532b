"""On every journal a subscription keeps its owner, and an event its publisher, through restarts and expiry."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from eventbus.core.access import OPEN, Access
from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import Forbidden
from eventbus.core.event_ids import new_event_id
from eventbus.core.headers import publisher_line
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.core.tokens import Scope
from eventbus.services.bus import Bus
from eventbus.services.registration_steps import JoinRequest, RegistrationRequest
from eventbus.services.timing import DEFAULT_TIMING
from tests.support.account_journals import Journals, in_files, on_redis
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH
from tests.support.redis_server import COMMAND
from tests.support.scripted import ScriptedTransport

ADDRESS, OTHER = "127.0.0.1:8001", "127.0.0.1:8002"
SUBSCRIBE = frozenset({Scope.SUBSCRIBE})
SHOP, MAIL, UNNAMED = Access(SUBSCRIBE, "shop"), Access(SUBSCRIBE, "mail"), Access(SUBSCRIBE)


class OwnedBus:
    """A bus on a journal, and the next one once it has ended."""

    def __init__(self, make: Journals) -> None:
        self.now = 0.0
        self._clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self._journal = make()
        self.start()

    def start(self) -> None:
        """Start the next bus."""
        self.bus: Bus = self._journal.start(Settings(), ScriptedTransport(), self._clock, DEFAULT_TIMING)

    def restart(self) -> None:
        """End the bus at once, with all saved, and start the next one."""
        self.bus.dispatcher.checkpointer.save()
        self._journal.kill(self.bus)
        self.start()

    def end(self) -> None:
        """End the last bus, and leave nothing."""
        self.bus.stop()
        self._journal.remove()

    def register(self, by: Access, group: str | None = None, address: str = ADDRESS, **terms: object) -> None:
        """Register an address."""
        asked = parse_address(address), Terms(**terms)  # type: ignore[arg-type]
        if group is None:
            self.bus.accept(RegistrationRequest(*asked, by=by))
        else:
            self.bus.accept(JoinRequest(*asked, by=by, group=group))

    def refuses(self, by: Access, key: str, group: str | None = None) -> bool:
        """Whether this one may neither renew nor deregister."""
        for attempt in (lambda: self.register(by, group), lambda: self.bus.deregister(key, by)):
            with pytest.raises(Forbidden, match="belongs to the token name 'shop'"):
                attempt()
        return True


@pytest.fixture(
    params=[
        pytest.param(in_files, id="sqlite"),
        pytest.param(
            on_redis, id="redis", marks=pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
        ),
    ]
)
def owned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnedBus]:
    """A bus on each journal."""
    journals: Callable[[Path], AbstractContextManager[Journals]] = request.param
    with journals(tmp_path) as make:
        found = OwnedBus(make)
        yield found
        found.end()


@pytest.mark.parametrize(("key", "group"), [(ADDRESS, None), ("group=mailer", "mailer")])
def test_an_owner_outlives_a_restart(owned: OwnedBus, key: str, group: str | None) -> None:
    """Of a subscriber, and of a group, which belongs to who made it."""
    owned.register(SHOP, group)
    for _ in range(2):
        assert owned.bus.dispatcher.lanes[key].subscriber.owner == "shop"
        assert owned.refuses(MAIL, key, group)
        assert owned.refuses(UNNAMED, key, group)
        owned.register(SHOP, group, max_in_flight=3)
        owned.register(OPEN, group, timeout=7)
        owned.restart()
    if group is not None:
        with pytest.raises(Forbidden, match="The group mailer belongs"):
            owned.register(MAIL, group, OTHER)
        assert owned.refuses(MAIL, ADDRESS, group)
    owned.bus.deregister(key, SHOP)
    owned.register(MAIL, group)
    assert owned.bus.dispatcher.lanes[key].subscriber.owner == "mail"


@pytest.mark.parametrize(("key", "group"), [(ADDRESS, None), ("group=mailer", "mailer")])
def test_a_position_that_is_kept_belongs_to_its_owner(owned: OwnedBus, key: str, group: str | None) -> None:
    """Another name does not resume there when the lease has expired, also not after a restart."""
    owned.register(SHOP, group, resume=True)
    owned.now += 1_000.0
    owned.bus.sweeper.sweep()
    eventually(lambda: owned.bus.subscribers() == [], 10)
    for _ in range(2):
        with pytest.raises(Forbidden, match="belongs to the token name 'shop'"):
            owned.register(MAIL, group)
        owned.restart()
    owned.register(SHOP, group)
    assert owned.bus.dispatcher.lanes[key].subscriber.owner == "shop"


def test_who_comes_after_the_end_is_the_owner(owned: OwnedBus) -> None:
    """A lease that has expired, without a position that is kept, belongs to nobody any more."""
    owned.register(SHOP)
    owned.now += 1_000.0
    owned.bus.sweeper.sweep()
    eventually(lambda: ADDRESS not in owned.bus.dispatcher.lanes, 10)
    owned.register(MAIL)
    assert owned.bus.dispatcher.lanes[ADDRESS].subscriber.owner == "mail"


def test_what_is_without_an_owner_stays_so(owned: OwnedBus) -> None:
    """Whoever renews it, and through a restart."""
    owned.register(UNNAMED)
    owned.register(MAIL, max_in_flight=3)
    owned.restart()
    assert owned.bus.dispatcher.lanes[ADDRESS].subscriber.owner == ""
    owned.bus.deregister(ADDRESS, SHOP)


def test_a_publisher_is_kept_with_its_event(owned: OwnedBus) -> None:
    """A restart changes nothing of it; an event without one has none."""
    ids = owned.bus.publish(
        [
            Message(new_event_id(), "t", b"Content-Type: text/plain\r\n" + publisher_line("shop"), b"1", EPOCH),
            Message(new_event_id(), "t", publisher_line(""), b"2", EPOCH),
        ]
    ).ids
    for _ in range(2):
        assert [owned.bus.history.of(event_id)[0].publisher for event_id in ids] == ["shop", None]
        owned.restart()
