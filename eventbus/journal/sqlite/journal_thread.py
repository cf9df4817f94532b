"""The journal's thread: it runs one call after another, and commits before whatever else waits.

Between two calls it does not wait for the event loop, as gevent's pool does: a busy loop takes longer than most calls.
"""

from collections import deque
from collections.abc import Callable
from queue import Empty
from time import monotonic
from typing import Any

from gevent.hub import Waiter, get_hub
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

_CALL, _END = object(), object()


class _Call:
    """A call, who waits for it, and what came of it."""

    __slots__ = ("error", "function", "result", "values", "waiter")

    def __init__(self, function: Callable[..., Any], values: tuple[object, ...]) -> None:
        self.function, self.values = function, values
        self.waiter: Waiter[None] = Waiter()
        self.result: Any = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Run on the thread. An error becomes a value: gevent prints what is raised there."""
        try:
            self.result = self.function(*self.values)
        except Exception as error:
            self.error = error


class JournalThread:
    """Runs calls for greenlets; others go on meanwhile."""

    def __init__(self) -> None:
        """Start the thread, for greenlets of this hub."""
        self._urgent: deque[_Call] = deque()
        self._others: deque[_Call] = deque()
        self._finished: deque[_Call] = deque()
        self._signs: Any = get_original("queue", "SimpleQueue")()  # one for each call, and one for the end
        self._watcher: Any = get_hub().loop.async_()
        self._watcher.start(self._resume_greenlets)
        self._pool = ThreadPool(1)
        self._pool.spawn(self._run)

    def call(self, function: Callable[..., Any], *values: object, urgent: bool = False) -> Any:
        """Return what the function returns, or raise what it raises. Urgent calls run before the others."""
        call = _Call(function, values)
        (self._urgent if urgent else self._others).append(call)
        self._signs.put(_CALL)
        call.waiter.get()
        if call.error is not None:
            raise call.error
        return call.result

    def stop(self) -> None:
        """End the thread after the calls that wait."""
        self._signs.put(_END)
        self._pool.join()
        self._pool.kill()
        self._watcher.close()

    def run_others(self, seconds: float) -> None:
        """Run the calls that wait, and those that come, for so many seconds; called by a long call, on the thread."""
        ends = monotonic() + seconds
        while (left := ends - monotonic()) > 0:
            try:
                sign = self._signs.get(timeout=left)
            except Empty:
                return
            if sign is _END:
                self._signs.put(_END)
                return
            self._run_next()

    def _run(self) -> None:
        while self._signs.get() is _CALL:
            self._run_next()

    def _run_next(self) -> None:
        call = (self._urgent or self._others).popleft()
        call.run()
        self._finished.append(call)
        self._watcher.send()

    def _resume_greenlets(self) -> None:
        """Resume those whose calls have ended; called by the event loop."""
        while self._finished:
            self._finished.popleft().waiter.switch(None)
