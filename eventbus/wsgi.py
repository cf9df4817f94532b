"""What gunicorn loads: patch first, then build the bus, the app over it, and start."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402 - nothing may be imported before the patch
import os  # noqa: E402
import sys  # noqa: E402

from eventbus.core.errors import EventbusError  # noqa: E402
from eventbus.start import start_bus  # noqa: E402
from eventbus.web.app import application  # noqa: E402
from eventbus.web.server.listeners import noted  # noqa: E402

#: gunicorn's own status for an app that does not load: it stops instead of trying again for ever.
APP_LOAD_ERROR = 4

try:
    app = application(start_bus(os.environ, noted))
except EventbusError as error:
    print(f"eventbus cannot start: {error}", file=sys.stderr)
    sys.exit(APP_LOAD_ERROR)

# What has been loaded stays: a collection that looks at all of it holds the event loop for 20 ms and more.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 20)
