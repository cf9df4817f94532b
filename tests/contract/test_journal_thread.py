"""The journal's thread runs one call after another, commits first, and does not wait for the event loop between two."""

import time
from collections.abc import Iterator

import gevent
import gevent.monkey
import pytest

from eventbus.journal.sqlite.journal_thread import JournalThread


@pytest.fixture
def thread() -> Iterator[JournalThread]:
    """One that runs."""
    found = JournalThread()
    yield found
    found.stop()


class Held:
    """A call that takes as long as the test says."""

    def __init__(self) -> None:
        self._may_end = gevent.monkey.get_original("queue", "SimpleQueue")()

    def __call__(self) -> None:
        self._may_end.get()

    def end(self) -> None:
        """Let it end."""
        self._may_end.put(None)


def test_a_call_runs_elsewhere_and_returns_or_raises_what_the_function_does(thread: JournalThread) -> None:
    """The event loop goes on meanwhile; an error comes to the caller alone, and the thread goes on."""
    get_ident = gevent.monkey.get_original("_thread", "get_ident")
    assert thread.call(get_ident) != get_ident()
    with pytest.raises(ZeroDivisionError):
        thread.call(divmod, 1, 0)
    assert thread.call(divmod, 7, 2) == (3, 1)


def test_an_urgent_call_runs_before_others_that_wait(thread: JournalThread) -> None:
    """What runs is finished; of what waits the urgent calls are next, each kind in its order."""
    held, ran = Held(), list[str]()
    calls = [gevent.spawn(thread.call, held)]
    for name, urgent in (("read", False), ("trim", False), ("commit", True), ("another", True)):
        calls.append(gevent.spawn(thread.call, ran.append, name, urgent=urgent))
    gevent.sleep(0)
    held.end()
    gevent.joinall(calls, 5, raise_error=True)
    assert ran == ["commit", "another", "read", "trim"]


def test_the_next_call_does_not_wait_for_the_event_loop(thread: JournalThread) -> None:
    """All that waits has run before a loop that is busy resumes any of the callers."""
    ran = list[int]()
    calls = [gevent.spawn(thread.call, ran.append, number) for number in range(10)]
    gevent.sleep(0)
    deadline = time.monotonic() + 5
    while len(ran) < 10 and time.monotonic() < deadline:
        pass  # as a busy loop: no other greenlet runs
    assert ran == list(range(10))
    assert not any(call.ready() for call in calls)
    gevent.joinall(calls, 5, raise_error=True)


def test_a_caller_that_is_killed_does_not_hurt_the_others(thread: JournalThread) -> None:
    """Its call still runs, and nobody is resumed for it."""
    held, ran = Held(), list[int]()
    first = gevent.spawn(thread.call, held)
    killed = gevent.spawn(thread.call, ran.append, 1)
    gevent.sleep(0)
    killed.kill()
    held.end()
    assert thread.call(len, "abc") == 3
    first.get(timeout=5)
    assert ran == [1]
