"""A decision is saved together with what its lanes have changed, and happens only then; other changes go in parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import gevent
import pytest
from gevent.event import Event as Signal

from eventbus.core.clock import Clock
from eventbus.core.errors import (
    Conflict,
    EventbusError,
    JournalError,
    JournalTimeout,
    JournalUnavailable,
    NotOwner,
    StaleEpoch,
    TooMany,
)
from eventbus.core.records import Checkpoint
from eventbus.delivery.changed_lanes import PART_LANES
from eventbus.delivery.checkpointer import Checkpointer
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from tests.support.lanes import EPOCH, UNWANTED, attempt, lane_with

TAKEN = Conflict("a peer has it")
FAILS = JournalUnavailable("it fails")
SILENT = JournalTimeout("nobody knows")


class FailingJournal:
    """Keeps checkpoints, or fails as a test says: with an error, or by what is done meanwhile."""

    def __init__(self) -> None:
        self.kept: list[Checkpoint] = []
        self.fails: list[BaseException] = []
        self.meanwhile: Any = lambda: None

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """See Journal.checkpoint."""
        self.meanwhile()
        if self.fails:
            raise self.fails.pop(0)
        self.kept.append(checkpoint)


class Scene:
    """A checkpointer over a journal that fails, and a lane with a dead letter that is not saved yet."""

    def __init__(self) -> None:
        self.journal = FailingJournal()
        self.scanned = 0
        self.checkpointer = Checkpointer(
            cast(Any, self.journal), Clock(lambda: 0.0, lambda: EPOCH), lambda: self.scanned
        )
        self.lane = lane_with(1, 2, 3)
        self.checkpointer.watch(self.lane)
        self.dead_letter()
        self.happened: list[str] = []

    def dead_letter(self) -> None:
        """One more delivery is dead."""
        assert attempt(self.lane, UNWANTED, 0.0) is not None

    def decision(self, lanes: Sequence[Lane] = ()) -> Decision:
        """All dead letters are discarded."""

        def change() -> Checkpoint:
            record = record_of(self.lane, 0, 0.0, EPOCH)
            account = replace(record.account, dead=0, discarded=record.account.dead)
            decided = replace(record, account=account)
            return Checkpoint(EPOCH, 0, lanes=(decided,), dropped=(1,), registers=(("an address", "its lane"),))

        return Decision(change, lambda: self.happened.append("it"), lanes, [self.lane.subscriber.key])

    def decide(self) -> None:
        """Decide that."""
        self.checkpointer.decide(self.decision([self.lane]))


def test_a_decision_and_what_changed_before_it_are_one_commit() -> None:
    """The dead letter that was not saved, and what was decided of it, are kept at once; the decided record counts."""
    scene = Scene()
    scene.decide()
    (kept,) = scene.journal.kept
    assert (len(kept.dead), kept.dropped, len(kept.lanes)) == (1, (1,), 1)
    assert kept.lanes[0].account.discarded == 1
    assert scene.happened == ["it"]


@pytest.mark.parametrize("error", [FAILS, TAKEN])
def test_a_decision_that_is_not_saved_has_not_happened(error: EventbusError) -> None:
    """Of a failed commit only what had changed is saved later; the decision is not."""
    scene = Scene()
    scene.journal.fails = [error]
    with pytest.raises(type(error)):
        scene.decide()
    scene.checkpointer.save()
    (kept,) = scene.journal.kept
    assert (len(kept.dead), kept.dropped) == (1, ())
    assert scene.happened == []


@pytest.mark.parametrize("error", [FAILS, SILENT])
def test_a_decision_waits_for_what_could_not_be_saved_before(error: JournalError) -> None:
    """While an earlier save fails none is worked out; then both are kept, in order, and nothing is missing."""
    scene = Scene()
    scene.journal.fails = [error, FAILS, FAILS]
    with pytest.raises(type(error)):
        scene.checkpointer.save()
    scene.dead_letter()
    for _ in range(2):
        with pytest.raises(JournalUnavailable):
            scene.decide()
    assert (scene.journal.kept, scene.happened) == ([], [])
    scene.decide()
    assert [len(kept.dead) for kept in scene.journal.kept] == [1, 1]
    assert [kept.dropped for kept in scene.journal.kept] == [(), (1,)]
    assert scene.happened == ["it"]


@pytest.mark.parametrize("error", [SILENT, gevent.GreenletExit()])
def test_a_decision_of_which_nobody_knows_happens_and_is_saved_again(error: BaseException) -> None:
    """Where no answer came it may be kept already: it is made true here too, and saved next, on no condition."""
    scene = Scene()
    scene.journal.fails = [error]
    with pytest.raises(type(error)):
        scene.decide()
    assert scene.happened == ["it"]
    scene.checkpointer.flush()
    (kept,) = scene.journal.kept
    assert (len(kept.dead), kept.dropped, kept.registers) == (1, (1,), ())


def test_a_decision_that_is_refused_drops_nothing() -> None:
    """What was collected for it is saved with the next commit."""
    scene = Scene()

    def refuse() -> Checkpoint:
        raise TooMany("no more")

    with pytest.raises(TooMany):
        scene.checkpointer.decide(Decision(refuse, lambda: None, [scene.lane]))
    scene.checkpointer.save()
    assert [len(kept.dead) for kept in scene.journal.kept] == [1]


def test_all_that_its_lanes_have_is_saved_with_a_decision() -> None:
    """A lane that is not among the changed ones is saved too, at the moment of the decision."""
    scene = Scene()
    scene.checkpointer.reset()
    scene.decide()
    assert [len(kept.dead) for kept in scene.journal.kept] == [1]


@pytest.mark.parametrize("introduce", [False, True])
def test_a_decision_about_another_bus_s_lane_does_not_happen(introduce: bool) -> None:
    """Where nothing was kept of its lane it is refused; what others lost in other commits does not count."""
    scene = Scene()
    scene.journal.meanwhile = lambda: scene.checkpointer.refuse([scene.lane.subscriber.key])
    with pytest.raises(NotOwner):
        if introduce:
            scene.checkpointer.optimistic_transaction().introduce(scene.decision())
        else:
            scene.decide()
    assert scene.happened == []
    scene.journal.meanwhile = lambda: scene.checkpointer.refuse(["another"])
    scene.decide()
    assert scene.happened == ["it"]


@pytest.mark.parametrize("error", [None, SILENT])
def test_a_decision_of_another_epoch_is_not_applied(error: BaseException | None) -> None:
    """Where all was reset while it was saved, nothing of it is kept here or applied."""
    scene = Scene()
    scene.journal.fails = [error] if error else []
    scene.journal.meanwhile = scene.checkpointer.reset
    with pytest.raises(JournalUnavailable):
        scene.decide()
    scene.journal.meanwhile = lambda: None
    scene.checkpointer.flush()
    assert scene.happened == []
    assert len(scene.journal.kept) == (0 if error else 1)


def test_a_new_lane_is_not_saved_before_what_could_not_be() -> None:
    """A registration fails as long as an earlier save does, and is kept after it."""
    scene = Scene()
    scene.journal.fails = [FAILS, FAILS]
    with pytest.raises(JournalUnavailable):
        scene.checkpointer.save()
    with pytest.raises(JournalUnavailable):
        scene.checkpointer.optimistic_transaction().introduce(scene.decision())
    scene.checkpointer.optimistic_transaction().introduce(scene.decision())
    assert [kept.dropped for kept in scene.journal.kept] == [(), (1,)]
    assert scene.happened == ["it"]


@pytest.mark.parametrize("act", ["check", "decide", "introduce"])
def test_a_transaction_is_stale_once_all_was_reset(act: str) -> None:
    """What was read before is not decided about: StaleEpoch, and nothing is saved."""
    scene = Scene()
    transaction = scene.checkpointer.optimistic_transaction()
    transaction.check()
    scene.checkpointer.reset()
    assert transaction.stale
    with pytest.raises(StaleEpoch):
        transaction.check() if act == "check" else getattr(transaction, act)(scene.decision())
    assert (scene.happened, scene.journal.kept) == ([], [])


def test_two_transactions_do_not_overlap() -> None:
    """A block that reads and decides runs while nobody else saves or decides."""
    scene = Scene()
    with scene.checkpointer.transaction() as transaction:
        other = gevent.spawn(scene.decide)
        gevent.idle()
        assert scene.journal.kept == []
        transaction.decide(scene.decision())
    other.get(timeout=10)
    assert len(scene.journal.kept) == 2


class Parts(Scene):
    """A lane with a dead letter, and as many others that have changed as three parts have."""

    def __init__(self) -> None:
        super().__init__()
        self.scanned = 3
        self.others = [lane_with(1, 2, 3) for _ in range(3 * PART_LANES - 1)]
        for lane in self.others:
            self.checkpointer.watch(lane)

    @property
    def kept(self) -> list[tuple[int, int]]:
        """Of each commit how many lanes it has, and up to which event all lanes are complete with it."""
        return [(len(kept.lanes), kept.scanned) for kept in self.journal.kept]

    @property
    def saved_lanes(self) -> int:
        """How many lanes are saved by now."""
        return sum(not lane.dirty for lane in (self.lane, *self.others))


def test_many_lanes_are_saved_in_parts() -> None:
    """Each says up to which event it is complete; the last part says that for all lanes."""
    scene = Parts()
    scene.checkpointer.save()
    assert scene.kept == [(PART_LANES, 0), (PART_LANES, 0), (PART_LANES, 3)]
    assert {lane.scanned for kept in scene.journal.kept for lane in kept.lanes} == {3}


def test_what_comes_while_parts_are_saved_is_not_claimed() -> None:
    """Events that come after the first part are in the accounts of later ones; all lanes have them after the next."""
    scene = Parts()

    def publish() -> None:
        scene.scanned += 1
        scene.lane.offer([scene.scanned])

    scene.journal.meanwhile = publish
    scene.checkpointer.save()
    assert scene.kept == [(PART_LANES, 0), (PART_LANES, 0), (PART_LANES, 3)]
    assert [kept.lanes[0].scanned for kept in scene.journal.kept] == [3, 4, 5]
    scene.journal.meanwhile = lambda: None
    scene.checkpointer.save()
    assert scene.kept[3:] == [(1, 6)]


def test_a_part_that_is_not_saved_goes_before_the_next() -> None:
    """Nothing is claimed of the others before it is saved; then they follow."""
    scene = Parts()
    scene.journal.meanwhile = lambda: scene.journal.kept and scene.journal.fails.append(FAILS)
    with pytest.raises(JournalUnavailable):
        scene.checkpointer.save()
    assert (scene.kept, scene.saved_lanes) == ([(PART_LANES, 0)], 2 * PART_LANES)
    scene.journal.meanwhile = lambda: None
    scene.journal.fails.clear()
    scene.checkpointer.save()
    assert scene.kept == [(PART_LANES, 0), (PART_LANES, 0), (PART_LANES, 3)]


def test_a_decision_between_two_parts_saves_its_lanes_alone() -> None:
    """It is one commit, which says nothing of the other lanes, and does not wait for them."""
    scene = Parts()
    saving = gevent.spawn(scene.checkpointer.save)
    gevent.sleep(0)
    assert len(scene.journal.kept) == 1
    scene.decide()
    assert scene.kept == [(PART_LANES, 0), (1, 0)]
    assert scene.happened == ["it"]
    saving.get(timeout=10)
    assert scene.kept[2:] == [(PART_LANES, 0), (PART_LANES, 3)]


def test_saving_ends_when_all_is_saved_that_others_were_saving() -> None:
    """Who saves all waits for a part which somebody else has begun to save."""
    scene, goes_on = Scene(), Signal()
    scene.journal.meanwhile = goes_on.wait
    saving = [gevent.spawn(scene.checkpointer.save) for _ in range(2)]
    gevent.idle()
    assert not any(one.ready() for one in saving)
    goes_on.set()
    gevent.joinall(saving, timeout=10, raise_error=True)
    assert len(scene.journal.kept) == 1


def test_lanes_that_are_asked_for_are_saved_with_some_that_wait() -> None:
    """Many who ask for one lane each share commits; nothing is saved for one that has not changed."""
    scene = Parts()
    last = scene.others[-1]
    scene.checkpointer.save_lanes([last])
    assert scene.kept == [(PART_LANES + 1, 0)]
    assert not last.dirty
    scene.checkpointer.save_lanes([last])
    assert len(scene.kept) == 1


def test_parts_of_another_epoch_are_forgotten() -> None:
    """Where this node loses its subscriptions between two parts, the rest is not saved."""
    scene = Parts()
    saving = gevent.spawn(scene.checkpointer.save)
    gevent.sleep(0)
    scene.scanned = 0
    scene.checkpointer.reset()
    saving.get(timeout=10)
    assert scene.kept == [(PART_LANES, 0)]
