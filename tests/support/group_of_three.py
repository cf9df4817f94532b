"""A group as one meets it: of its three members one takes everything, one is down, and one drains."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: The group's name.
MAILER = "mailer"
#: Events of this topic are rejected.
REFUSED = "mail.refused"


@dataclass(frozen=True, slots=True)
class GroupOfThree:
    """The members' addresses, and who calls the bus."""

    caller: Caller
    ok: str
    down: str
    drains: str

    def json(self) -> dict[str, object]:
        """The group as lists have it."""
        groups = self.caller.call("GET", "/listSubscribers", [JSON]).json()["groups"]
        return next(dict(one) for one in groups if one["group"] == MAILER)

    def standing(self) -> dict[object, tuple[object, object]]:
        """The state of each member, and whether it drains."""
        members = self.json()["members"]
        assert isinstance(members, list)
        return {one["address"]: (one["state"], one["draining"]) for one in members}


def _respond(request: Received) -> Answer:
    return (422, (), b"no such mailbox") if request.header("Eventbus-Topic") == REFUSED else (200, (), b"")


@contextmanager
def group_of_three(caller: Caller) -> Iterator[GroupOfThree]:
    """The group, with an event delivered and one dead letter."""
    with RecordingSubscriber(_respond) as ok, RecordingSubscriber(_respond) as drains:
        found = GroupOfThree(caller, ok.address, f"{LOOPBACK}:{free_port()}", drains.address)
        for address in (found.ok, found.down, found.drains):
            caller.register(address, group=MAILER, topic="mail.*", lease=3_600)
        caller.register(found.drains, group=MAILER, drain=True)
        caller.publish(topic=REFUSED)

        def troubled() -> bool:
            caller.publish(topic="mail.sent")
            return found.standing() == {
                found.ok: ("ok", False), found.down: ("down", False), found.drains: ("new", True),
            }  # fmt: skip

        eventually(troubled, 20)
        yield found
        caller.call("DELETE", f"/deregister?group={MAILER}")
        caller.call("DELETE", f"/deadLetters?group={MAILER}")
