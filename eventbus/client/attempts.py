"""Attempts as the client returns them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from eventbus.client.calls import Caller
from eventbus.client.parameters import given
from eventbus.client.parsing import parse_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: one request for one event and one subscription; see ``GET /attempts`` in the protocol.

    ``address`` is where it went, ``at`` when it began, and ``answer`` the start of a failing response.
    """

    event: str
    address: str
    path: str | None
    group: str | None
    attempt: int
    at: datetime
    seconds: float
    status: int | None
    outcome: str
    error: str | None
    answer: bytes = b""
    node: str | None = None


class AttemptCalls:
    """Lists attempts."""

    _caller: Caller

    def attempts(
        self,
        *,
        address: str | None = None,
        path: str | None = None,
        group: str | None = None,
        event: str | None = None,
        status: str | None = None,
    ) -> Iterator[Attempt]:
        """Yield the attempts that the bus remembers, the newest first. They are requested page by page.

        ``status`` is one such as ``"503"`` or ``"5xx"``, or ``"none"``, ``"delivered"`` or ``"failed"``.

        Raises BusError.
        """
        chosen = given(address=address, path=path, group=group, id=event, status=status)
        return (parse_as(Attempt, one) for one in self._caller.listed("/attempts", "attempts", chosen))
