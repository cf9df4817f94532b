"""gunicorn's configuration for a process under libfaketime, in which the C library's clock_nanosleep is broken.

That is what Python's own sleep calls; gunicorn's master waits with it for a moment when it starts and stops a worker.
"""

import runpy
import select
import time


def _sleep(seconds: float) -> None:
    """As time.sleep, by other means."""
    select.select((), (), (), seconds)


time.sleep = _sleep
globals().update(runpy.run_path("gunicorn.conf.py"))
