"""Dead letters replayed and discarded by clicks, subscribers deregistered: asked before, and told of afterwards."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.visitor import Visitor
from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.mender import Mender
from tests.support.responders import Switch
from tests.support.subscriber import RecordingSubscriber

DEAD = 3


class Case:
    """A subscriber that has rejected a few events, and takes what comes from now on."""

    def __init__(self, caller: Caller, subscriber: RecordingSubscriber, switch: Switch) -> None:
        self.caller, self.mender, self.subscriber = caller, Mender(caller.port), subscriber
        self.address = subscriber.address
        self.page = f"/dashboard/deadLetters?address={quote(self.address)}"
        caller.register(self.address)
        self.ids = [caller.publish(b"%d" % number) for number in range(DEAD)]
        eventually(settled(caller, self.address, dead=DEAD), 30)
        subscriber.counts.clear()
        switch.status = 200

    def left(self) -> int:
        """How many dead letters there are."""
        return len(self.mender.dead_letters(address=self.address))


@pytest.fixture
def case(caller: Caller) -> Iterator[Case]:
    """A subscriber with dead letters; it is gone afterwards, and so are they."""
    switch = Switch(422)
    with RecordingSubscriber(switch) as subscriber:
        found = Case(caller, subscriber, switch)
        yield found
        caller.deregister(subscriber.address)
        found.mender.discard_dead(address=subscriber.address)


def choose(visitor: Visitor, case: Case, count: int) -> None:
    """Open the dead letters of that subscriber, and tick so many."""
    visitor.open(case.page)
    for number in range(1, count + 1):
        visitor.find(f"tbody tr:nth-child({number}) input").click()


def test_chosen_dead_letters_are_replayed(visitor: Visitor, case: Case) -> None:
    """All on the page are chosen by one click, replayed after a question, and delivered."""
    visitor.open(case.page)
    visitor.find("[data-all]").click()
    visitor.click("Redeliver selected")
    visitor.see(f"Redeliver {DEAD} dead letters?", "dialog")
    assert case.left() == DEAD
    visitor.click("Redeliver")
    visitor.see(f"{DEAD} redelivered: {DEAD} delivered.", "dialog")
    case.subscriber.wait_for_ids(case.ids)
    visitor.click("Close")
    visitor.see("No dead letters.", "#letters")
    eventually(settled(case.caller, case.address, delivered=DEAD, dead=0), 30)


def test_chosen_dead_letters_are_discarded_when_that_is_said_twice(visitor: Visitor, case: Case) -> None:
    """A discard is asked for twice; only then are those gone that were chosen, and no others."""
    choose(visitor, case, 2)
    visitor.click("Discard selected")
    visitor.see("Discard 2 dead letters?", "dialog")
    visitor.click("Discard")
    visitor.see("This cannot be undone. Are you sure?", "dialog")
    assert case.left() == DEAD
    eventually(lambda: visitor.find("#ask-go").is_enabled(), 5)
    visitor.click("Yes, discard 2")
    visitor.see("2 discarded.", "dialog")
    visitor.click("Close")
    eventually(lambda: visitor.count("tbody tr") == 1, 5)
    assert case.mender.dead_letters(address=case.address)[0]["event"] == case.ids[2]
    assert account(case.caller, case.address)["discarded"] == 2


@pytest.mark.parametrize("clicks", [["Discard selected"], ["Discard selected", "Discard"], ["Redeliver selected"]])
@pytest.mark.parametrize("way", ["Cancel", Keys.ESCAPE])
def test_who_cancels_loses_nothing(visitor: Visitor, case: Case, clicks: list[str], way: str) -> None:
    """Whenever it is cancelled nothing has happened, and what was chosen stays so, to be asked about again."""
    choose(visitor, case, 2)
    for name in clicks:
        visitor.click(name)
    visitor.press(way) if way == Keys.ESCAPE else visitor.click(way)
    eventually(lambda: visitor.count("dialog[open]") == 0, 5)
    assert (case.left(), case.subscriber.counts.total()) == (DEAD, 0)
    assert visitor.count("[data-letter]:checked") == 2
    visitor.click("Discard selected")
    visitor.see("Discard 2 dead letters?", "dialog")


def test_a_double_click_is_no_second_answer(visitor: Visitor, case: Case) -> None:
    """Who clicks twice by habit has answered the first question only."""
    choose(visitor, case, 1)
    visitor.click("Discard selected")
    ActionChains(visitor.driver, duration=0).double_click(visitor.find("#ask-go")).perform()
    visitor.see("Are you sure?", "dialog")
    assert case.left() == DEAD


def test_nothing_chosen_is_nothing_asked(visitor: Visitor, case: Case) -> None:
    """Without a choice there is no question, and nothing happens."""
    visitor.open(case.page)
    visitor.click("Discard selected")
    visitor.click("Redeliver selected")
    assert visitor.count("dialog[open]") == 0


def test_all_of_a_subscriber_are_replayed(visitor: Visitor, case: Case) -> None:
    """Those that are not on the page are meant too where all of a subscriber are replayed."""
    visitor.open(case.page)
    visitor.click(f"Redeliver all of {case.address}")
    visitor.see(f"All dead letters of {case.address} return to the backlog.", "dialog")
    visitor.click("Redeliver all")
    visitor.see(f"{DEAD} redelivered: {DEAD} delivered.", "dialog")
    case.subscriber.wait_for_ids(case.ids)


def test_all_of_a_subscriber_are_discarded(visitor: Visitor, case: Case) -> None:
    """All of a subscriber are discarded after two questions."""
    visitor.open(case.page)
    visitor.click(f"Discard all of {case.address}")
    visitor.click("Discard all")
    eventually(lambda: visitor.find("#ask-go").is_enabled(), 5)
    visitor.click("Yes, discard all")
    visitor.see(f"{DEAD} discarded.", "dialog")
    assert case.left() == 0


def test_what_did_not_work_is_told(visitor: Visitor, case: Case) -> None:
    """A replay for somebody who has gone is told of in the bus's own words, and the dead letters stay."""
    visitor.expect(409)
    choose(visitor, case, 1)
    case.caller.deregister(case.address)
    visitor.click("Redeliver selected")
    visitor.click("Redeliver")
    visitor.see("Failed: ", "dialog")
    assert case.left() == DEAD


def test_a_part_of_the_journal_is_delivered_again(visitor: Visitor, case: Case) -> None:
    """A subscriber's page replays the journal to it, from where one says."""
    visitor.open(f"/dashboard/subscriber?address={quote(case.address)}")
    visitor.fill("#from", case.ids[1])
    visitor.find("form[data-act=replay-journal] button").click()
    visitor.see(f"Replay the journal to {case.address}?", "dialog")
    visitor.click("Replay")
    visitor.see("2 events are being replayed.", "dialog")
    case.subscriber.wait_for_ids(case.ids[1:])
    assert case.ids[0] not in case.subscriber.counts


def test_a_subscriber_is_deregistered(visitor: Visitor, case: Case) -> None:
    """Its lease ends after two questions; its page says so, and keeps its dead letters."""
    visitor.open(f"/dashboard/subscriber?address={quote(case.address)}")
    visitor.click("Deregister")
    visitor.see("Its pending deliveries, 0 now, are discarded.", "dialog")
    visitor.click("Deregister")
    assert case.caller.listed(case.address)
    eventually(lambda: visitor.find("#ask-go").is_enabled(), 5)
    visitor.click("Yes, deregister")
    visitor.see("Deregistered.", "dialog")
    assert not case.caller.listed(case.address)
    visitor.click("Close")
    visitor.see("Not registered any more.", "#state")
    assert visitor.count("[data-letter]") == DEAD
