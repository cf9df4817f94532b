"""Dead letters replayed and discarded by clicks, subscribers deregistered: asked before, and told of afterwards."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.browser.dashboard_user import DashboardUser
from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.subscriber import RecordingSubscriber

DEAD = 3


class Case:
    """A subscriber that has rejected a few events, and takes what comes from now on."""

    def __init__(self, caller: Caller, subscriber: RecordingSubscriber, switch: Switch) -> None:
        self.caller, self.repair, self.subscriber = caller, RepairClient(caller.port), subscriber
        self.address = subscriber.address
        self.page = f"/dashboard/deadLetters?address={quote(self.address)}"
        caller.register(self.address)
        self.ids = [caller.publish(b"%d" % number) for number in range(DEAD)]
        eventually(settled(caller, self.address, dead=DEAD), 30)
        subscriber.counts.clear()
        switch.status = 200

    def left(self) -> int:
        """How many dead letters there are."""
        return len(self.repair.dead_letters(address=self.address))


@pytest.fixture
def case(caller: Caller) -> Iterator[Case]:
    """A subscriber with dead letters; it is gone afterwards, and so are they."""
    switch = Switch(422)
    with RecordingSubscriber(switch) as subscriber:
        found = Case(caller, subscriber, switch)
        yield found
        caller.deregister(subscriber.address)
        found.repair.discard_dead(address=subscriber.address)


def choose(user: DashboardUser, case: Case, count: int) -> None:
    """Open the dead letters of that subscriber, and tick so many."""
    user.open(case.page)
    for number in range(1, count + 1):
        user.find(f"tbody tr:nth-child({number}) input").click()


def test_chosen_dead_letters_are_replayed(user: DashboardUser, case: Case) -> None:
    """All on the page are chosen by one click, replayed after a question, and delivered."""
    user.open(case.page)
    user.find("[data-all]").click()
    user.click("Redeliver selected")
    user.see(f"Redeliver {DEAD} dead letters?", "dialog")
    assert case.left() == DEAD
    user.click("Redeliver")
    user.see(f"{DEAD} redelivered: {DEAD} delivered.", "dialog")
    case.subscriber.wait_for_ids(case.ids)
    user.click("Close")
    user.see("No dead letters.", "#letters")
    eventually(settled(case.caller, case.address, delivered=DEAD, dead=0), 30)


def test_chosen_dead_letters_are_discarded_when_that_is_said_twice(user: DashboardUser, case: Case) -> None:
    """A discard is asked for twice; only then are those gone that were chosen, and no others."""
    choose(user, case, 2)
    user.click("Discard selected")
    user.see("Discard 2 dead letters?", "dialog")
    user.click("Discard")
    user.see("This cannot be undone. Are you sure?", "dialog")
    assert case.left() == DEAD
    eventually(lambda: user.find("#ask-go").is_enabled(), 5)
    user.click("Yes, discard 2")
    user.see("2 discarded.", "dialog")
    user.click("Close")
    eventually(lambda: user.count("tbody tr") == 1, 5)
    assert case.repair.dead_letters(address=case.address)[0]["event"] == case.ids[2]
    assert account(case.caller, case.address)["discarded"] == 2


@pytest.mark.parametrize("clicks", [["Discard selected"], ["Discard selected", "Discard"], ["Redeliver selected"]])
@pytest.mark.parametrize("way", ["Cancel", Keys.ESCAPE])
def test_who_cancels_loses_nothing(user: DashboardUser, case: Case, clicks: list[str], way: str) -> None:
    """Whenever it is cancelled nothing has happened, and what was chosen stays so, to be asked about again."""
    choose(user, case, 2)
    for name in clicks:
        user.click(name)
    user.press(way) if way == Keys.ESCAPE else user.click(way)
    eventually(lambda: user.count("dialog[open]") == 0, 5)
    assert (case.left(), case.subscriber.counts.total()) == (DEAD, 0)
    assert user.count("[data-letter]:checked") == 2
    user.click("Discard selected")
    user.see("Discard 2 dead letters?", "dialog")


def test_a_double_click_is_no_second_answer(user: DashboardUser, case: Case) -> None:
    """Who clicks twice by habit has answered the first question only."""
    choose(user, case, 1)
    user.click("Discard selected")
    ActionChains(user.driver, duration=0).double_click(user.find("#ask-go")).perform()
    user.see("Are you sure?", "dialog")
    assert case.left() == DEAD


def test_nothing_chosen_is_nothing_asked(user: DashboardUser, case: Case) -> None:
    """Without a choice there is no question, and nothing happens."""
    user.open(case.page)
    user.click("Discard selected")
    user.click("Redeliver selected")
    assert user.count("dialog[open]") == 0


def test_all_of_a_subscriber_are_replayed(user: DashboardUser, case: Case) -> None:
    """Those that are not on the page are meant too where all of a subscriber are replayed."""
    user.open(case.page)
    user.click(f"Redeliver all of {case.address}")
    user.see(f"All dead letters of {case.address} return to the backlog.", "dialog")
    user.click("Redeliver all")
    user.see(f"{DEAD} redelivered: {DEAD} delivered.", "dialog")
    case.subscriber.wait_for_ids(case.ids)


def test_all_of_a_subscriber_are_discarded(user: DashboardUser, case: Case) -> None:
    """All of a subscriber are discarded after two questions."""
    user.open(case.page)
    user.click(f"Discard all of {case.address}")
    user.click("Discard all")
    eventually(lambda: user.find("#ask-go").is_enabled(), 5)
    user.click("Yes, discard all")
    user.see(f"{DEAD} discarded.", "dialog")
    assert case.left() == 0


def test_what_did_not_work_is_told(user: DashboardUser, case: Case) -> None:
    """A replay for somebody who has gone is told of in the bus's own words, and the dead letters stay."""
    user.expect(409)
    choose(user, case, 1)
    case.caller.deregister(case.address)
    user.click("Redeliver selected")
    user.click("Redeliver")
    user.see("Failed: ", "dialog")
    assert case.left() == DEAD


def test_a_part_of_the_journal_is_delivered_again(user: DashboardUser, case: Case) -> None:
    """A subscriber's page replays the journal to it, from where one says."""
    user.open(f"/dashboard/subscriber?address={quote(case.address)}")
    user.fill("#from", case.ids[1])
    user.find("form[data-act=replay-journal] button").click()
    user.see(f"Replay the journal to {case.address}?", "dialog")
    user.click("Replay")
    user.see("2 events are being replayed.", "dialog")
    case.subscriber.wait_for_ids(case.ids[1:])
    assert case.ids[0] not in case.subscriber.counts


def test_a_filter_is_tried_on_past_events(user: DashboardUser, case: Case) -> None:
    """A subscriber's page says how many of the last day's events a filter matches, or where it is wrong."""
    event = case.caller.publish(b'{"tried":true}', topic="tried")
    user.open(f"/dashboard/subscriber?address={quote(case.address)}")
    user.fill("#filter", '{"exact":{"data.tried":true}}')
    user.click("Try")
    user.see("of the last day match; the newest: tried", "#sent")
    assert event in (user.find("#sent a").get_attribute("href") or "")
    user.expect(400)
    user.fill("#filter", '{"exact":5}')
    user.click("Try")
    user.see("filter is wrong at exact", "#sent")
    assert case.caller.subscriber(case.address)["filter"] is None


def test_a_subscriber_is_deregistered(user: DashboardUser, case: Case) -> None:
    """Its lease ends after two questions; its page says so, and keeps its dead letters."""
    user.open(f"/dashboard/subscriber?address={quote(case.address)}")
    user.click("Deregister")
    user.see("Its pending deliveries, 0 now, are discarded.", "dialog")
    user.click("Deregister")
    assert case.caller.listed(case.address)
    eventually(lambda: user.find("#ask-go").is_enabled(), 5)
    user.click("Yes, deregister")
    user.see("Deregistered.", "dialog")
    assert not case.caller.listed(case.address)
    user.click("Close")
    user.see("Not registered any more.", "#state")
    assert user.count("[data-letter]") == DEAD
