"""Looking and mending as a person does it: events and what became of them, dead letters, replays."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.support.caller import JSON, Caller
from tests.support.raw_client import Response


@dataclass(frozen=True, slots=True)
class RepairClient:
    """Asks the bus on this port of loopback; a parameter that is a Python keyword takes a ``_`` at its end."""

    port: int

    def ask(self, method: str, path: str, headers: Iterable[tuple[str, str]] = (JSON,), **query: Any) -> Response:
        """Send one request and read its answer, whatever it is."""
        values = {name.removesuffix("_"): value for name, value in query.items()}
        target = f"{path}?{urlencode(values, doseq=True)}" if values else path
        return Caller(self.port).call(method, target, headers)

    def answer(self, method: str, path: str, **query: Any) -> Any:
        """What a request that is in order is answered, as JSON."""
        response = self.ask(method, path, **query)
        assert response.status == 200, response.text
        return response.json()

    def dead_letters(self, **query: Any) -> list[dict[str, Any]]:
        """One page of dead letters."""
        found: list[dict[str, Any]] = self.answer("GET", "/deadLetters", **query)["dead_letters"]
        return found

    def replay_dead(self, **query: Any) -> int:
        """Put dead letters back as pending; how many."""
        return int(self.answer("POST", "/deadLetters/replay", **query)["replayed"])

    def discard_dead(self, **query: Any) -> int:
        """Discard dead letters; how many."""
        return int(self.answer("DELETE", "/deadLetters", **query)["discarded"])

    def replay(self, address: str, start: str, **query: Any) -> int:
        """Deliver a part of the journal again; how many events."""
        return int(self.answer("POST", "/replay", address=address, from_=start, **query)["events"])

    def act(self, what: str, address: str, **query: Any) -> dict[str, Any]:
        """Pause, resume, retry or skip; what that is answered."""
        found: dict[str, Any] = self.answer("POST", f"/{what}", address=address, **query)
        return found

    def event(self, event_id: str) -> dict[str, Any]:
        """One event, and what became of it."""
        found: dict[str, Any] = self.answer("GET", f"/events/{event_id}")
        return found

    def states(self, event_id: str) -> dict[str, str]:
        """The event's state for each address that it was accepted for."""
        return {delivery["address"]: delivery["state"] for delivery in self.event(event_id)["deliveries"]}

    def events(self, **query: Any) -> list[dict[str, Any]]:
        """One page of the journal."""
        found: list[dict[str, Any]] = self.answer("GET", "/events", **query)["events"]
        return found
