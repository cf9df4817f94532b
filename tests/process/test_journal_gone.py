"""A journal that is taken away under a running bus: nothing that would be lost is answered with success."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

#: Events that wait for the subscriber when the journal goes.
PENDING = 20
#: What the log says of it, once.
MISSED = "while the bus ran: nothing is accepted; put it back"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal is."""
    return tmp_path / "journal" / "bus.db"


@pytest.fixture
def bus(tmp_path: Path, path: Path) -> Iterator[BusServer]:
    """A bus whose journal is a file, whatever other tests use."""
    path.parent.mkdir()
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{path}"}) as server:
        yield server


def test_a_journal_that_was_moved_is_missed_and_works_again_when_it_is_back(
    bus: BusServer, path: Path, tmp_path: Path
) -> None:
    """Without its files a bus delivers and accepts nothing; with them again it has all that it ever accepted."""
    switch = Switch(500)
    with RecordingSubscriber(switch, keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=600)
        ids = [caller.publish(b"%d" % number) for number in range(PENDING)]
        subscriber.wait_for_ids(ids)
        path.parent.rename(tmp_path / "aside")
        refusal = caller.call("POST", "/sendMessage", body=b"refused")
        assert (refusal.status, "while the bus ran" in refusal.text) == (503, True)
        ready = caller.call("GET", "/readyz")
        assert (ready.status, str(path) in ready.text) == (503, True)
        assert caller.call("DELETE", f"/deregister?address={subscriber.address}").status == 503
        taken = subscriber.counts.total()
        switch.status = 200
        subscriber.wait_for(lambda found: found.counts.total() >= taken + PENDING, 60)
        eventually(lambda: MISSED in bus.log_text(), 30)
        bus.terminate()
        assert bus.log_text().count(MISSED) == 1
        (tmp_path / "aside").rename(path.parent)
        bus.start()
        caller.register(subscriber.address)
        later = caller.publish(b"later")
        subscriber.wait_for_ids([later])
        eventually(settled(caller, subscriber.address, pending=0), 60)


def test_what_another_bus_has_put_in_its_place_is_left_alone(bus: BusServer, path: Path) -> None:
    """A bus whose journal was replaced changes neither the new journal nor the log beside it, when it ends either."""
    caller = Caller(bus.port)
    caller.publish(b"before")
    path.unlink()
    path.with_name("bus.db-wal").unlink()
    path.write_bytes(b"another journal")
    path.with_name("bus.db-wal").write_bytes(b"its log")
    assert caller.call("POST", "/sendMessage", body=b"after").status == 503
    bus.terminate()
    assert path.read_bytes() == b"another journal"
    assert path.with_name("bus.db-wal").read_bytes() == b"its log"
