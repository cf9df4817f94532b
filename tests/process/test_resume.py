"""``resume=true``: who comes back within the retention carries on where it was."""

from pathlib import Path

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

#: Seconds: the shortest lease there is.
LEASE = 5


def publish(caller: Caller, count: int) -> list[str]:
    """Publish so many events; their ids."""
    return [caller.publish(b"%d" % number) for number in range(count)]


def end_lease(caller: Caller, subscriber: RecordingSubscriber) -> None:
    """Wait until the lease has ended by itself."""
    eventually(lambda: not caller.listed(subscriber.address), LEASE + 10)


def test_a_kept_place_is_gone_on_from(tmp_path: Path) -> None:
    """What was pending when the lease ended, and what was published after it, arrives on return, each once."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        caller.register(subscriber.address, lease=LEASE, resume=True)
        before = publish(caller, 10)
        subscriber.wait_for_ids(before)
        subscriber.down()
        pending = publish(caller, 10)
        end_lease(caller, subscriber)
        meanwhile = publish(caller, 1_500)
        assert set(repair.states(meanwhile[0]).values()) == {"pending"}
        subscriber.up()
        answer = caller.register(subscriber.address, lease=600)
        assert (answer["resume"], answer["accepted"]) == (True, 1_520)
        subscriber.wait_for_ids(before + pending + meanwhile, 60)
        eventually(settled(caller, subscriber.address, accepted=1_520, delivered=1_520, dead=0), 30)
        assert set(subscriber.counts.values()) == {1}
        assert repair.dead_letters() == []


def test_nothing_is_delivered_while_a_place_is_kept(tmp_path: Path) -> None:
    """A subscriber whose lease ended gets nothing until it registers again, though it would answer."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber, RecordingSubscriber() as other:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE, resume=True)
        caller.register(other.address)
        end_lease(caller, subscriber)
        ids = publish(caller, 20)
        other.wait_for_ids(ids)
        assert subscriber.counts.total() == 0
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        assert set(subscriber.counts.values()) == {1}


def test_a_kept_place_outlives_a_kill(tmp_path: Path) -> None:
    """A kept place is there after ``kill -9``, also for what is published after that."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE, resume=True)
        subscriber.down()
        ids = publish(caller, 10)
        end_lease(caller, subscriber)
        ids += publish(caller, 10)
        bus.kill()
        bus.start()
        end_lease(caller, subscriber)  # which begins anew where the kill came before its end was saved
        ids += publish(caller, 10)
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        eventually(settled(caller, subscriber.address, accepted=30, delivered=30, dead=0), 30)


def test_a_place_is_kept_by_topic(tmp_path: Path) -> None:
    """While a place is kept only what its topics match is kept for it."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE, resume=True, topic="orders.>")
        end_lease(caller, subscriber)
        wanted = [caller.publish(topic="orders.created"), caller.publish(topic="orders.eu.paid")]
        caller.publish(topic="stock.low")
        caller.publish()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(wanted)
        eventually(settled(caller, subscriber.address, accepted=2, delivered=2), 30)
        assert subscriber.counts == dict.fromkeys(wanted, 1)


def test_deregistering_keeps_no_place(tmp_path: Path) -> None:
    """Who deregisters gives its place up, ``resume`` or not: what was pending is discarded."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, resume=True)
        subscriber.down()
        publish(caller, 3)
        caller.deregister(subscriber.address)
        subscriber.up()
        publish(caller, 3)
        caller.register(subscriber.address)
        event = caller.publish()
        subscriber.wait_for_ids([event])
        assert subscriber.counts == {event: 1}
        assert account(caller, subscriber.address)["discarded"] == 3


def test_deregistering_keeps_no_place_over_a_restart(tmp_path: Path) -> None:
    """Who deregistered has no place after a restart either: what is published then is not for it."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, resume=True)
        caller.deregister(subscriber.address)
        bus.kill()
        bus.start()
        event = caller.publish()
        assert RepairClient(bus.port).states(event) == {}
        caller.register(subscriber.address)
        later = caller.publish()
        subscriber.wait_for_ids([later])
        assert subscriber.counts == {later: 1}


def test_a_place_that_is_kept_too_long_is_given_up(tmp_path: Path) -> None:
    """Past the retention a kept place is given up: what was pending becomes dead letters, which go as others do."""
    with BusServer(tmp_path) as bus, RecordingSubscriber(always(500)) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE, resume=True)
        ids = publish(caller, 3)
        end_lease(caller, subscriber)
        bus.kill()
    with BusServer(tmp_path, {"EVENTBUS_RETENTION_SECONDS": "3"}) as later:
        repair = RepairClient(later.port)
        eventually(lambda: [letter["reason"] for letter in repair.dead_letters()] == ["lease ended"] * 3, 30)
        eventually(lambda: {repair.ask("GET", f"/events/{event}").status for event in ids} == {404}, 30)
        assert repair.dead_letters() == []
