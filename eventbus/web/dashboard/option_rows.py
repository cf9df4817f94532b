"""The options and credentials of a subscription, or of a member of a group, as the dashboard displays them."""

from eventbus.core.credentials import CREDENTIAL_HEADERS
from eventbus.core.declarations import NO_OPTIONS
from eventbus.core.option_table import Option, display
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member

#: An option's label, and its value for people.
Pair = tuple[str, str]


def option_rows(lane: Lane) -> list[Pair]:
    """Return the options of a subscription: of a group those that its members share, of a declared one no lease."""
    if lane.roster is not None:
        return display(lane.subscriber.options, lambda one: one.shared or one.name == "topics")
    return display(lane.subscriber.options, lambda one: not _is_meaningless(one, lane))


def member_option_rows(member: Member) -> list[Pair]:
    """Return a member's own options, but for its topics; and which credentials it has, if any."""
    found = display(
        member.subscriber.options,
        lambda one: (not one.shared or one.of_member) and one.name != "topics" and not _is_meaningless(one, member),
    )
    kinds = member.subscriber.credentials
    return [*found, ("Credentials", ", ".join(kinds))] if kinds else found


def _is_meaningless(one: Option, target: Lane | Member) -> bool:
    return target.subscriber.declared and one.name in NO_OPTIONS


def lacking_headers(lane: Lane) -> str:
    """Return the headers with which the credentials come that are not there; empty where all are."""
    return " and ".join(CREDENTIAL_HEADERS[kind] for kind in lane.credentials.lacking(lane.subscriber.credentials))
