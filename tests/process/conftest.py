"""One bus for all tests that ask for nothing special, and subscribers that leave no trace on it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.support.answers")

from eventbus.client import NO_RETRY, Bus  # noqa: E402 - after the rewrite is asked for
from tests.support.caller import Caller, cleaning_caller  # noqa: E402
from tests.support.limits import MAX_BODY_BYTES  # noqa: E402
from tests.support.server import BusServer  # noqa: E402
from tests.support.subscriber import RecordingSubscriber, Respond, Subscribe, accept  # noqa: E402


@pytest.fixture(scope="package")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that runs for all of these tests."""
    environment = {"EVENTBUS_MAX_BODY_BYTES": str(MAX_BODY_BYTES)}
    with BusServer(tmp_path_factory.mktemp("bus"), environment) as server:
        yield server


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus for one test alone, with an empty journal."""
    with BusServer(tmp_path) as server:
        yield server


@pytest.fixture
def caller(bus: BusServer) -> Iterator[Caller]:
    """Calls the shared bus, and leaves it without subscribers."""
    with cleaning_caller(bus.port) as found:
        yield found


@pytest.fixture
def client(bus: BusServer) -> Iterator[Bus]:
    """The shared bus as Python sees it, without retries. It is left without subscribers."""
    with Bus(f"http://127.0.0.1:{bus.port}", backoff=NO_RETRY) as found:
        yield found
        for one in found.subscribers():
            found.deregister(one.address, path=one.path)


@pytest.fixture
def subscribe(caller: Caller) -> Iterator[Subscribe]:
    """Starts and registers recording subscribers; ``prefix`` is the path in their address."""
    with ExitStack() as stack:

        def start(respond: Respond = accept, prefix: str = "", **options: Any) -> RecordingSubscriber:
            subscriber = stack.enter_context(RecordingSubscriber(respond))
            caller.register(subscriber.address + prefix, **options)
            return subscriber

        yield start
