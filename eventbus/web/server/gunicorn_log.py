"""gunicorn's logger: one line format for the whole process, on standard output, and no access log."""

import logging
import os
import sys
from typing import Any

from gunicorn.glogging import Logger

from eventbus.telemetry.log_format import JsonFormatter, LineFormatter

#: The settings report an unknown level.
_LEVELS = {"debug": logging.DEBUG, "warning": logging.WARNING, "error": logging.ERROR}


class GunicornLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """Sets up logging for the whole process: one handler, one format."""

    def setup(self, cfg: Any) -> None:
        """Send every record to standard output."""
        super().setup(cfg)
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter() if os.environ.get("EVENTBUS_LOG_FORMAT") == "json" else LineFormatter())
        root = logging.getLogger()
        root.handlers = [handler]
        root.setLevel(_LEVELS.get(os.environ.get("EVENTBUS_LOG_LEVEL", ""), logging.INFO))
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.handlers = []
        self.error_log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Log nothing: metrics count requests, and a proxy in front logs them."""
