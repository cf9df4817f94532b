"""What an inbox in a group asks the bus for."""

import pytest

from eventbus.client import Inbox, Subscriber, Terms, UsageError
from eventbus.client import draining as module
from eventbus.client.draining import drain
from eventbus.client.inbox_terms import terms_of_inbox
from eventbus.testing import FakeBus


def test_an_inbox_registers_with_its_group() -> None:
    """The group is a parameter of its own, or one of the terms."""
    for inbox in (Inbox(FakeBus(), "a:1", group="mailer"), Inbox(FakeBus(), "a:1", terms=Terms(group="mailer"))):
        assert (inbox.group, inbox.terms.group, inbox.terms.resume) == ("mailer", "mailer", True)
    assert Inbox(FakeBus(), "a:1").group is None
    assert terms_of_inbox(Terms(group="mailer", resume=False), "mailer") == Terms(group="mailer", resume=False)


@pytest.mark.parametrize("name", ["", "no blanks", "a/b", "x" * 65, "\u00e9"])
def test_a_name_that_no_group_can_have_is_refused_at_once(name: str) -> None:
    """Nothing has been sent then."""
    with pytest.raises(UsageError, match="1 to 64 letters, digits"):
        Inbox(FakeBus(), "a:1", group=name)


def test_two_different_groups_are_refused() -> None:
    """An address is in one group."""
    with pytest.raises(UsageError, match="The group is 'mailer' for the inbox, and 'sms' in its terms"):
        Inbox(FakeBus(), "a:1", group="mailer", terms=Terms(group="sms"))


def in_flight(*counts: int) -> list[Subscriber]:
    """What the bus answers to one renewal after another."""
    known = FakeBus().register("a:1")
    return [
        Subscriber(**{name: getattr(known, name) for name in known.__slots__} | {"in_flight": count})
        for count in counts
    ]


def test_draining_ends_when_nothing_is_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks again and again, with growing waits up to half a second."""
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    answers = in_flight(3, 3, 2, 2, 1, 1, 0)
    assert drain(lambda: answers.pop(0), 60)
    assert answers == []
    assert slept == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_draining_gives_up_after_its_time() -> None:
    """What is in flight then is not waited for."""
    answers = in_flight(1, 0)
    assert not drain(lambda: answers.pop(0), 0)


def test_a_member_that_was_never_registered_leaves_nothing() -> None:
    """Closing an inbox that was not started calls nobody."""
    bus = FakeBus()
    inbox = Inbox(bus, "a:1", group="mailer")
    assert inbox.close()
    assert bus.subscribers() == []
    assert inbox.leave()


def test_a_member_that_is_closed_is_deregistered() -> None:
    """After it has drained; ``close`` says whether all handlers have finished."""
    bus = FakeBus()
    inbox = Inbox(bus, "a:1", group="mailer")
    inbox.start()
    assert inbox.wait_registered(10)
    assert [one.address for one in bus.subscribers()] == ["a:1"]
    assert inbox.close()
    assert bus.subscribers() == []
