"""Fixtures for pytest: ``pytest_plugins = ["eventbus.testing.plugin"]``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.testing.fake import FakeBus
from eventbus.testing.server import LiveServer


@pytest.fixture
def fake_bus() -> FakeBus:
    """Return a bus that records what is published."""
    return FakeBus()


@pytest.fixture
def eventbus_server(tmp_path: Path) -> Iterator[LiveServer]:
    """Start a live bus on a free port, with a journal of its own."""
    with LiveServer(tmp_path) as server:
        yield server
