"""The four routes as a client calls them, each call on a connection of its own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.raw_client import RawConnection, Response

JSON = ("Accept", "application/json")


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls the bus on this port of loopback, or on this Unix socket."""

    port: int | Path

    def call(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Response:
        """Send one request and read its answer."""
        with RawConnection(self.port) as connection:
            return connection.request(method, target, headers, body)

    def register(self, address: str, **options: Any) -> dict[str, Any]:
        """Register or renew; the JSON answer. A list repeats its parameter; booleans are lower case."""
        response = self.call("POST", register_target(address, **options), [JSON])
        assert response.status == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def deregister(self, address: str, path: str | None = None) -> None:
        """Deregister."""
        query = {"address": address, **({} if path is None else {"path": path})}
        response = self.call("DELETE", f"/deregister?{urlencode(query)}")
        assert response.status == 200, response.text

    def publish(self, body: bytes = b"{}", *headers: tuple[str, str], topic: str = "") -> str:
        """Publish one event; its id."""
        response = self.call("POST", f"/sendMessage?topic={topic}" if topic else "/sendMessage", headers, body)
        assert response.status == 200, response.text
        return response.header("Webhook-Id") or ""

    def subscribers(self) -> list[dict[str, Any]]:
        """The live subscribers."""
        found: list[dict[str, Any]] = self.call("GET", "/listSubscribers", [JSON]).json()["subscribers"]
        return found

    def subscriber(self, address: str) -> dict[str, Any]:
        """How this live subscriber is doing; KeyError where it has no lease."""
        for found in self.subscribers():
            if found["address"] == address:
                return found
        raise KeyError(address)

    def listed(self, address: str) -> bool:
        """Whether this address has a live lease."""
        return any(found["address"] == address for found in self.subscribers())


@contextmanager
def cleaning_caller(port: int) -> Iterator[Caller]:
    """A caller of this bus, which is left without subscribers."""
    caller = Caller(port)
    yield caller
    for subscriber in caller.subscribers():
        caller.deregister(subscriber["address"], subscriber["path"])


def register_target(address: str, **options: Any) -> str:
    """The request target that registers ``address`` with these options."""
    values = {name: _query_value(value) for name, value in options.items()}
    return "/registerAndKeepAlive?" + urlencode({"address": address, **values}, doseq=True)


def _query_value(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
