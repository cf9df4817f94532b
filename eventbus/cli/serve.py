"""``eventbus serve``: runs the bus under gunicorn."""

import importlib.util
import os
import re
import sys

import click

from eventbus.cli.command import command
from eventbus.cli.exit_status import CommandFailed

#: The packages that the server needs beside the standard library.
SERVER_PACKAGES = ("flask", "gevent", "gunicorn", "httptools", "prometheus_client", "requests", "urllib3", "werkzeug")
_GUNICORN = ("-m", "gunicorn", "-c", "python:eventbus.gunicorn_config", "eventbus.wsgi:app")


@command(
    "serve",
    "eventbus serve",
    "eventbus serve --port 8080 --journal /var/lib/eventbus/journal.db",
    "eventbus serve --journal :memory:",
)
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT", help="Where to listen; else PORT, else 3000.")
@click.option("--journal", metavar="FILE", help="Where events are kept; else EVENTBUS_JOURNAL, else eventbus.db here.")
@click.option("--json", "as_json", is_flag=True, help="Log an object a line.")
def serve(port: int | None, journal: str | None, as_json: bool) -> None:  # noqa: FBT001 - click names it
    """Run the bus.

    All its other settings are environment variables. It is gunicorn that runs from here on: signals and the exit
    status are gunicorn's.
    """
    missing = [package for package in SERVER_PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise CommandFailed(f"The server is not installed (no {', '.join(missing)}): pip install 'eventbus[server]'.")
    os.environ.update(settings_of(port, journal, as_json=as_json))
    os.execv(sys.executable, (sys.executable, *_GUNICORN))  # noqa: S606 - a fixed command, which needs no shell


#: The start of a URL of a Redis server.
_REDIS = re.compile(r"rediss?(\+[a-z]+)?:", re.IGNORECASE)


def settings_of(port: int | None, journal: str | None, *, as_json: bool) -> dict[str, str]:
    """Return the settings that the options stand for, by their environment names. Raises UsageError."""
    scheme, separator, _ = (journal or "").partition("://")
    if (separator and scheme != "sqlite") or _REDIS.match(journal or ""):  # with a slash too few, too
        raise click.UsageError("--journal is a file; a URL, in which there may be a password, is for EVENTBUS_JOURNAL")
    settings = {
        "PORT": None if port is None else str(port),
        "EVENTBUS_JOURNAL": f"sqlite:///{journal}" if journal and not separator else journal,
        "EVENTBUS_LOG_FORMAT": "json" if as_json else None,
    }
    return {name: value for name, value in settings.items() if value is not None}
