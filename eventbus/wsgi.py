"""What gunicorn loads: patch first, then start the bus, and make its application."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402 - nothing may be imported before the patch
import os  # noqa: E402
import sys  # noqa: E402

from eventbus.core.errors import EventbusError  # noqa: E402
from eventbus.start import start_bus  # noqa: E402
from eventbus.web.app import application  # noqa: E402
from eventbus.web.server.listeners import noted  # noqa: E402

#: gunicorn's exit status for an app that does not load: gunicorn stops instead of restarting the worker forever.
APP_LOAD_ERROR = 4

try:
    app = application(start_bus(os.environ, noted))
except EventbusError as error:
    print(f"eventbus cannot start: {error}", file=sys.stderr)
    sys.exit(APP_LOAD_ERROR)

# What is loaded stays: a collection that scans all of it blocks the event loop for 20 ms and more.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 20)
