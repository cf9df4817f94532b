"""What every test stands on: the standard library patched for gevent, as in production."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402 - nothing may be imported before the patch
import signal  # noqa: E402
from collections.abc import Iterator  # noqa: E402

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from tests.support import time_limit  # noqa: E402

# A busy machine may take its time over one example; what is wrong shows in the assertion.
settings.register_profile("eventbus", deadline=None)
settings.load_profile("eventbus")

LIMIT = pytest.StashKey[time_limit.TimeLimit]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch for tests that hang, and let programs that tests start be interrupted.

    A shell's background job ignores SIGINT, and all that it starts would, too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # pytest does not capture the output here, so that this is where it prints, too.
    config.stash[LIMIT] = time_limit.TimeLimit(os.dup(2))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Limit how long a test takes, its fixtures included."""
    soak = item.get_closest_marker("soak") is not None
    item.config.stash[LIMIT].begin(item.nodeid, time_limit.SECONDS_SOAK if soak else time_limit.SECONDS)
    try:
        return (yield)
    finally:
        item.config.stash[LIMIT].end()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Limit how long the run takes to end."""
    session.config.stash[LIMIT].begin("What comes after the last test", time_limit.SECONDS)
