"""A caller that keeps its one connection: it needs no new port and no new file, whatever the bus is short of."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.caller import Caller
from tests.support.raw_client import RawConnection, Response


@dataclass(frozen=True, slots=True)
class KeptCaller(Caller):
    """Calls the bus over this connection, one request at a time."""

    connection: RawConnection

    def call(
        self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Response:
        """Send one request and read its answer."""
        return self.connection.request(method, target, headers, body)


@contextmanager
def kept_caller(port: int) -> Iterator[KeptCaller]:
    """A caller whose connection stays open until the end of the block."""
    with RawConnection(port) as connection:
        caller = KeptCaller(port, connection)
        assert caller.call("GET", "/healthz").status == 200
        yield caller
