"""What people see of a group: metrics, and the dashboard's pages as data and as text."""

from collections.abc import Iterator

import pytest

from tests.support.caller import JSON, Caller
from tests.support.group_of_three import MAILER, REFUSED, GroupOfThree, group_of_three
from tests.support.server import BusServer


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GroupOfThree]:
    """A group of which one member is down, and one drains, on a bus of its own."""
    with BusServer(tmp_path_factory.mktemp("bus")) as server, group_of_three(Caller(server.port)) as found:
        found.caller.register("localhost:1", topic="none")
        yield found


def test_metrics_have_one_series_for_a_group_and_count_its_members(group: GroupOfThree) -> None:
    """The label is the group's name; a member that drains is counted as draining."""
    lines = group.caller.call("GET", "/metrics").text.splitlines()
    members = {line for line in lines if line.startswith("eventbus_members{")}
    assert members == {
        f'eventbus_members{{state="{state}",subscriber="{MAILER}"}} 1.0' for state in ("ok", "down", "draining")
    }
    states = {line for line in lines if line.startswith("eventbus_subscriber_state{")}
    assert states == {
        f'eventbus_subscriber_state{{state="ok",subscriber="{MAILER}"}} 1.0',
        'eventbus_subscriber_state{state="new",subscriber="localhost:1"} 1.0',
    }
    assert not any(group.ok in line or group.down in line for line in lines)


def test_no_series_of_an_address_is_a_groups(group: GroupOfThree) -> None:
    """A host name alone, which may be a group's name, has its port; Prometheus takes no series twice."""
    group.caller.register("localhost", topic="none")
    group.caller.register("localhost:2", group="localhost", topic="none")
    lines = group.caller.call("GET", "/metrics").text.splitlines()
    series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(series) == len(set(series))
    assert {'eventbus_subscriber_dead_letters{subscriber="localhost:80"}'} < set(series)
    for one in ("address=localhost", "group=localhost"):
        group.caller.call("DELETE", f"/deregister?{one}")


def rows(group: GroupOfThree, text: str) -> list[dict[str, object]]:
    """The rows of the table of subscribers that are found by a text."""
    found: list[dict[str, object]] = group.caller.call("GET", f"/dashboard/subscribers?q={text}", [JSON]).json()["rows"]
    return found


def test_the_table_has_a_row_for_the_group_with_its_members(group: GroupOfThree) -> None:
    """Those that need attention come first; the row says how many those are."""
    row, single = sorted(rows(group, ""), key=lambda each: each["group"] is None)
    members = row["members"]
    assert isinstance(members, list)
    assert [one["address"] for one in members] == [group.down, group.drains, group.ok]
    assert (row["address"], row["state"], row["summary"], row["open"]) == (MAILER, "ok", "1 down, 1 draining", False)
    assert (single["group"], single["members"], single["summary"]) == (None, [], "")


@pytest.mark.parametrize(("text", "unfolded"), [("MAIL", False), ("down", False)])
def test_a_group_is_found_by_its_name_and_by_its_members_states(group: GroupOfThree, text: str, unfolded: bool) -> None:
    """Any part of the name will do."""
    assert [(row["group"], row["open"]) for row in rows(group, text)] == [(MAILER, unfolded)]


def test_a_group_that_is_found_by_a_member_is_unfolded(group: GroupOfThree) -> None:
    """Its row shows the member that was looked for."""
    assert [(row["group"], row["open"]) for row in rows(group, group.down)] == [(MAILER, True)]


def test_a_group_with_a_member_that_is_down_needs_attention(group: GroupOfThree) -> None:
    """The overview has its row, though the group itself is well."""
    attention = group.caller.call("GET", "/", [JSON]).json()["attention"]
    assert [(row["group"], row["state"], row["summary"]) for row in attention] == [(MAILER, "ok", "1 down, 1 draining")]


def test_a_groups_page_is_found_by_its_name_and_by_a_member(group: GroupOfThree) -> None:
    """It has the options that the group has, no lease of its own, and all members with theirs."""
    by_name, by_member = (
        group.caller.call("GET", f"/dashboard/subscriber?{subject}", [JSON]).json()
        for subject in (f"group={MAILER}", f"address={group.down}")
    )
    assert by_name["name"] == by_member["name"] == MAILER
    assert dict(by_name["options"])["Topics"] == "mail.*"
    assert {"Timeout", "Max in flight", "Lease"}.isdisjoint(dict(by_name["options"]))
    assert (by_name["remaining"], by_name["summary"]) == (None, "1 down, 1 draining")
    assert {one["address"] for one in by_name["members"]} == {group.ok, group.down, group.drains}
    assert by_name["members"][0]["last_error"]


def test_dead_letters_and_deliveries_lead_to_the_group(group: GroupOfThree) -> None:
    """Links name the group, and nothing is called None."""
    page = group.caller.call("GET", f"/dashboard/deadLetters?group={MAILER}")
    assert f"dashboard/subscriber?group={MAILER}" in page.text
    assert f'data-subject="group={MAILER}"' in page.text
    (letter,) = group.caller.call("GET", f"/deadLetters?group={MAILER}", [JSON]).json()["dead_letters"]
    assert letter["topic"] == REFUSED
    event = group.caller.call("GET", f"/dashboard/event?id={letter['event']}").text
    assert f'dashboard/subscriber?group={MAILER}">{MAILER}</a>' in event
    assert "None" not in event


def test_a_group_of_many_has_some_of_its_members_in_the_table_and_all_on_its_page(group: GroupOfThree) -> None:
    """The table says how many there are, and leads to the page."""
    for port in range(25):
        group.caller.register(f"localhost:{20_000 + port}", group="many", topic="none")
    (row,) = rows(group, "many")
    members = row["members"]
    assert isinstance(members, list)
    assert (len(members), row["member_count"]) == (20, 25)
    assert "All 25 members" in group.caller.call("GET", "/dashboard/subscribers?q=many").text
    page = group.caller.call("GET", "/dashboard/subscriber?group=many", [JSON]).json()
    assert len(page["members"]) == 25
    group.caller.call("DELETE", "/deregister?group=many")
