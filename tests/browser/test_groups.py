"""A group on the dashboard: one row that unfolds to its members, a page of its own, and actions on all of it."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.axe import violations
from tests.browser.dashboard_user import PATIENCE, DashboardUser
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.group_of_three import MAILER, GroupOfThree, group_of_three
from tests.support.server import BusServer

PAGE = f"/dashboard/subscriber?group={MAILER}"
PAGES = [
    "/", "/dashboard/subscribers", f"/dashboard/subscribers?q={MAILER}", PAGE, f"/dashboard/deadLetters?group={MAILER}",
]  # fmt: skip


@pytest.fixture(scope="module")
def group(bus: BusServer) -> Iterator[GroupOfThree]:
    """A group of which one member is down, and one drains."""
    with group_of_three(Caller(bus.port)) as found:
        yield found


def visible_members(user: DashboardUser) -> int:
    """How many members' rows can be seen in the table of subscribers."""
    return int(
        user.run("return [...document.querySelectorAll('tr.member')].filter((row) => row.checkVisibility()).length")
    )


def test_a_group_unfolds_to_its_members_by_keys_and_stays_so(user: DashboardUser, group: GroupOfThree) -> None:
    """The row unfolds by Enter; while the table is replaced it stays unfolded, and the focus stays where it is."""
    user.hurry()
    user.open("/dashboard/subscribers")
    user.see("1 down, 1 draining")
    assert visible_members(user) == 0
    user.run("document.querySelector('summary').focus(); window.row = document.querySelector('tbody tr')")
    user.press(Keys.ENTER)
    assert visible_members(user) == 3
    group.caller.publish(topic="mail.sent")
    eventually(lambda: user.run("return !window.row.isConnected"), PATIENCE)
    assert (visible_members(user), user.focused()) == (3, "3 members")
    user.press(Keys.ENTER)
    assert visible_members(user) == 0


def test_a_group_unfolds_without_scripts(user: DashboardUser, group: GroupOfThree) -> None:
    """The row is the page's own, and needs no script."""
    user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        user.open("/dashboard/subscribers")
        user.find("summary").click()
        eventually(lambda: user.find("tr.member").is_displayed(), PATIENCE)
    finally:
        user.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_group_is_found_by_a_member(user: DashboardUser, group: GroupOfThree) -> None:
    """It is unfolded then, and leads to its own page."""
    user.open("/dashboard/subscribers")
    user.fill("#q", group.down)
    user.click("Find")
    user.see("1 subscriber found")
    assert visible_members(user) == 3
    user.click(MAILER)
    user.see("3\nMembers, 1 down, 1 draining", "#state")
    assert [user.text(f"#members tbody tr:nth-child({row}) td:nth-child(2)") for row in (1, 2, 3)] == [
        "down", "new draining", "ok",
    ]  # fmt: skip


def test_the_overview_leads_to_a_group_that_needs_attention(user: DashboardUser, group: GroupOfThree) -> None:
    """One of its members is down."""
    user.open("/")
    user.see("1 down, 1 draining", "#attention")
    user.click(MAILER)
    user.see("Members")


@pytest.mark.parametrize("page", PAGES)
def test_pages_with_groups_can_be_used_by_everybody_and_on_a_phone(
    user: DashboardUser, group: GroupOfThree, page: str
) -> None:
    """Nothing is wrong with them, light or dark, folded or unfolded, and no page is wider than the phone."""
    user.open(page)
    user.run("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert violations(user) == []
    user.dark()
    assert violations(user, "color-contrast") == []
    user.phone()
    assert user.run("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]


def test_dead_letters_of_a_group_are_found_and_replayed(user: DashboardUser, group: GroupOfThree) -> None:
    """By its name; the replay is its own."""
    user.open("/dashboard/deadLetters")
    user.fill("#group", MAILER)
    user.click("Find group")
    user.click(f"Redeliver all of {MAILER}")
    user.click("Redeliver all")
    user.see("1 redelivered", "dialog")
    user.click("Close")
    eventually(lambda: user.count("[data-letter]") == 1, PATIENCE)


def test_a_replay_of_the_journal_goes_to_the_group(user: DashboardUser, group: GroupOfThree) -> None:
    """Its page begins it."""
    user.open(PAGE)
    user.fill("#from", "now")
    user.find("form[data-act=replay-journal] button").click()
    user.see(f"Replay the journal to {MAILER}?", "dialog")
    user.click("Replay")
    user.see("0 events are being replayed.", "dialog")


def test_a_member_is_deregistered_and_then_the_group(user: DashboardUser, bus: BusServer) -> None:
    """A member leaves after one question, the group is given up after two."""
    caller = Caller(bus.port)
    for port in (1, 2):
        caller.register(f"localhost:{port}", group="short", topic="none")
    user.open("/dashboard/subscriber?group=short")
    user.run(f"document.querySelector('[data-subject=\"address={quote('localhost:1')}\"]').click()")
    user.see("It leaves its group", "dialog")
    user.click("Deregister")
    user.see("Deregistered.", "dialog")
    user.click("Close")
    user.miss("localhost:1", "#members")
    user.click("Deregister the group")
    user.click("Deregister")
    eventually(lambda: user.find("#ask-go").is_enabled(), 5)
    user.click("Yes, deregister")
    user.see("Deregistered.", "dialog")
    groups = caller.call("GET", "/listSubscribers", [JSON]).json()["groups"]
    assert "short" not in {each["group"] for each in groups}
