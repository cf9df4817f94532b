"""The rules of a registration: a subscriber renews, resumes at its kept position, or begins."""

from typing import Any, cast

import pytest

from eventbus.cluster.single_node import SingleNode
from eventbus.core.addresses import parse_address
from eventbus.core.credentials import NOTHING_GIVEN, CredentialKind, GivenCredentials
from eventbus.core.errors import JournalUnavailable, NotOwner, TooMany
from eventbus.core.model import Terms
from eventbus.core.override import override
from eventbus.core.settings import Settings
from eventbus.services.admission import Admission
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.introductions import Introductions
from eventbus.services.memberships import Memberships
from eventbus.services.positions import Positions
from eventbus.services.registration_steps import RegistrationRequest
from eventbus.services.registrations import Registration, Registrations
from eventbus.services.replays import Replays
from eventbus.services.sweeper import Sweeper
from tests.support.lane_journal import NoTransport
from tests.support.memory_node import A, B, MemoryNode


class PeerOwnsAll(SingleNode):
    """A cluster in which a peer owns every subscription."""

    @override
    def claim(self, key: str) -> None:
        raise NotOwner


class Scene(MemoryNode):
    """A node at which subscribers register."""

    def __init__(self, cluster: SingleNode | None = None, **settings: Any) -> None:
        super().__init__(cluster)
        expiry = LeaseExpiry(self.node, lambda _: None)
        self.sweeper = Sweeper(self.node, expiry, Memberships(self.node, expiry), 60.0)
        replays = Replays(self.node, Positions(cast(Any, self.journal), self.dispatcher.recent))
        admission = Admission(Settings(**settings), self.dispatcher, NoTransport())
        self.registrations = Registrations(
            self.node, admission, Introductions(self.node, admission, replays), self.sweeper, expiry, replays
        )

    def register(
        self, address: str, start: str | None = None, given: GivenCredentials = NOTHING_GIVEN, **terms: Any
    ) -> Registration:
        """Register or renew."""
        return self.registrations.register(RegistrationRequest(parse_address(address), Terms(**terms), given), start)


def test_who_is_not_known_begins() -> None:
    """The registration is new and saved, and its lane gets what is published from then on."""
    scene = Scene()
    scene.publish(None)
    registration = scene.register(A)
    scene.publish(None, None)
    assert registration.created
    assert scene.journal.records[A].open
    assert scene.dispatcher.lanes[A] is registration.lane
    assert registration.lane.backlog == 2


def test_who_is_registered_renews() -> None:
    """The lease begins again; without other terms nothing is saved."""
    scene = Scene()
    lane = scene.register(A, lease=100).lane
    saved = len(scene.journal.checkpoints)
    scene.now = 60.0
    again = scene.register(A)
    assert (again.lane, again.created, again.changed) == (lane, False, ())
    assert lane.lease.ends == 160.0
    assert len(scene.journal.checkpoints) == saved


def test_other_terms_are_saved_and_named() -> None:
    """A renewal names the options that it has changed, and the others stay."""
    scene = Scene()
    scene.register(A, lease=100, ordered=True)
    again = scene.register(A, lease=200)
    assert again.changed == ("lease",)
    options = scene.journal.records[A].subscriber.options
    assert (options.lease, options.ordered) == (200, True)


def test_which_credentials_there_are_is_saved_and_no_value() -> None:
    """A renewal with another value, or with none, costs no commit; one that adds or removes one does."""
    scene, kinds = Scene(), (CredentialKind.AUTHORIZATION,)
    lane = scene.register(A, given=GivenCredentials("Bearer one")).lane
    assert scene.journal.records[A].subscriber.credentials == kinds
    saved = len(scene.journal.checkpoints)
    assert scene.register(A, given=GivenCredentials("Bearer two")).changed == kinds
    assert scene.register(A).changed == ()
    assert (lane.credentials.authorization, len(scene.journal.checkpoints)) == ("Bearer two", saved)
    assert scene.register(A, given=GivenCredentials("")).changed == kinds
    assert not lane.credentials
    assert scene.journal.records[A].subscriber.credentials == ()


def test_credentials_that_cannot_be_saved_are_not_taken() -> None:
    """The former ones go on: no delivery is authorized by what its client was told is not there."""
    scene = Scene()
    lane = scene.register(A).lane
    scene.journal.failures = [JournalUnavailable("it fails")]
    with pytest.raises(JournalUnavailable):
        scene.register(A, given=GivenCredentials("Bearer one"))
    assert not lane.credentials
    assert lane.subscriber.credentials == ()


def test_whose_position_is_kept_resumes() -> None:
    """What came while it was away is pending, and the registration counts as a new one."""
    scene = Scene()
    lane = scene.register(A, lease=10, resume=True).lane
    scene.now = 20.0
    scene.sweeper.sweep()
    scene.publish(None, None)
    again = scene.register(A)
    assert (again.lane, again.created, lane.backlog) == (lane, True, 2)
    assert lane.ended_at is None


def test_a_first_registration_may_begin_in_the_past() -> None:
    """Events from the position on that match its topics are pending, with the registration in one commit."""
    scene = Scene()
    scene.publish("a", "b", "a")
    saved = len(scene.journal.checkpoints)
    lane = scene.register(A, start="earliest", topics=("a",)).lane
    assert lane.backlog == 2
    assert len(scene.journal.checkpoints) == saved + 1
    assert scene.journal.records[A].account.pending == 2


def test_what_cannot_be_saved_has_not_begun() -> None:
    """Nothing is left of a registration whose commit failed, and the next one begins."""
    scene = Scene()
    scene.journal.failures = [JournalUnavailable("it fails")]
    with pytest.raises(JournalUnavailable):
        scene.register(A)
    assert (dict(scene.dispatcher.lanes), scene.dispatcher.registry.announced) == ({}, {})
    assert scene.dispatcher.registry.matching(None) == ()
    assert scene.register(A).created


def test_a_renewal_that_cannot_be_saved_changes_nothing() -> None:
    """The old terms and the old lease go on."""
    scene = Scene()
    lane = scene.register(A, lease=100).lane
    scene.now = 60.0
    scene.journal.failures = [JournalUnavailable("it fails")]
    with pytest.raises(JournalUnavailable):
        scene.register(A, lease=200)
    assert (lane.subscriber.options.lease, lane.lease.ends) == (100, 100.0)


def test_whom_a_peer_owns_is_not_registered_here() -> None:
    """The request belongs to that node: NotOwner, and nothing is saved."""
    scene = Scene(PeerOwnsAll())
    with pytest.raises(NotOwner):
        scene.register(A)
    assert (scene.journal.records, dict(scene.dispatcher.lanes)) == ({}, {})


def test_there_is_room_for_so_many() -> None:
    """Past the limit nobody new is admitted; who is registered renews."""
    scene = Scene(max_subscribers=1)
    scene.register(A)
    with pytest.raises(TooMany):
        scene.register(B)
    assert not scene.register(A).created
