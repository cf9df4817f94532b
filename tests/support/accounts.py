"""A subscriber's account as the bus tells it: accepted = pending + delivered + filtered + dead + discarded."""

from collections.abc import Callable
from typing import Any

from tests.support.caller import Caller


def account_of(status: dict[str, Any]) -> dict[str, int]:
    """The numbers that have to add up, all of which do."""
    account = {name: status[name] for name in ("accepted", "pending", "delivered", "dead", "discarded", "filtered")}
    assert account["pending"] == status["backlog"] + status["in_flight"], status
    assert account["accepted"] == sum(account.values()) - account["accepted"], status
    return account


def account(caller: Caller, address: str) -> dict[str, int]:
    """The account of a live subscriber, which adds up."""
    return account_of(caller.subscriber(address))


def settled(caller: Caller, address: str, **counts: int) -> Callable[[], bool]:
    """Whether nothing is pending any more and the account holds these numbers."""

    def check() -> bool:
        found = account(caller, address)
        return found["pending"] == 0 and counts.items() <= found.items()

    return check


def holds(caller: Caller, address: str, **counts: int) -> Callable[[], bool]:
    """Whether the account holds these numbers, whatever else is in it."""
    return lambda: counts.items() <= account(caller, address).items()
