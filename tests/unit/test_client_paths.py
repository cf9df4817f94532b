"""What the client, a fake bus, and the command do with a subscription that is an address and a path."""

from eventbus.cli.doctor.findings import Level
from eventbus.cli.doctor.subscriber_checks import diagnose
from eventbus.cli.named_subscription import NamedSubscription
from eventbus.client import Inbox, Terms
from eventbus.testing import FakeBus

ADDRESS, PATH = "h:1", "/hooks/x?y=z&a=b"


def registered() -> FakeBus:
    """A bus on which an address is registered with a path, and without one."""
    bus = FakeBus()
    bus.register(ADDRESS)
    bus.register(ADDRESS, terms=Terms(path=PATH))
    return bus


def names(bus: FakeBus) -> list[tuple[str, str | None]]:
    """The addresses and paths that are registered."""
    return [(one.address, one.path) for one in bus.subscribers()]


def test_an_address_with_a_path_is_registered_beside_the_one_without() -> None:
    """Each is renewed and deregistered by its own name."""
    bus = registered()
    assert names(bus) == [(ADDRESS, None), (ADDRESS, PATH)]
    assert not bus.register(ADDRESS, terms=Terms(path=PATH)).created
    bus.deregister(ADDRESS, path=PATH)
    assert names(bus) == [(ADDRESS, None)]


def test_an_inbox_registers_and_deregisters_with_the_path_of_its_terms() -> None:
    """Another subscription of its address stays."""
    bus = FakeBus()
    bus.register(ADDRESS)
    for group in (None, "mailer"):
        inbox = Inbox(bus, ADDRESS, group=group, terms=Terms(path=PATH))
        with inbox:
            assert inbox.wait_registered(10)
            assert names(bus) == [(ADDRESS, None), (ADDRESS, PATH)]
        inbox.deregister()
        assert names(bus) == [(ADDRESS, None)]


def test_a_command_finds_a_subscription_by_address_and_path() -> None:
    """The address is known in any spelling; the path is compared as it is."""
    bus = registered()
    for path in (None, PATH):
        found = NamedSubscription("HTTP://H:1/", path, None).find(bus)
        assert (found.path if hasattr(found, "path") else "a group") == path
    assert NamedSubscription(ADDRESS, PATH, None).text == f"{ADDRESS}?path={PATH}"


def test_doctor_warns_of_an_address_that_ends_in_event() -> None:
    """The bus adds another; a path of its own is meant as it is."""
    bus = FakeBus()
    bus.register("h:1/api/event/")
    bus.register(ADDRESS, terms=Terms(path="/event"))
    fine, hint = diagnose(bus.subscribers())
    assert (fine.level, hint.level) == (Level.OK, Level.WARNING)
    assert hint.text == "h:1/api/event/ ends in /event, and its events go to h:1/api/event/event."
