"""From the environment to a bus that runs."""

import logging
import os
import signal
from collections.abc import Mapping

from eventbus import __version__
from eventbus.bus import Bus
from eventbus.delivery.transport import Dialler, SessionTransport, Transport
from eventbus.delivery.transport.traced import traced
from eventbus.errors import SettingsError
from eventbus.journal.base import Journal
from eventbus.journal.sqlite import SQLITE_VERSION, SqliteJournal
from eventbus.settings import MEMORY, Settings, from_environment, unknown_names
from eventbus.sweeper import Sweeper

log = logging.getLogger(__name__)


def start_bus(environment: Mapping[str, str]) -> Bus:
    """Read the settings, open the journal, and begin to deliver. Raises SettingsError and JournalError."""
    settings = from_environment(environment)
    for warning in unknown_names(environment):
        log.warning("%s", warning)
    log.info("eventbus %s starts, journal %s, SQLite %s", __version__, settings.journal_shown, SQLITE_VERSION)
    _tell_limits(settings, environment)
    dialler = Dialler(settings.networks, settings.port)
    transport: Transport = SessionTransport(dialler, settings.signing_secrets, settings.origin)
    if settings.tracing == "otel":
        transport = traced(transport)
    bus = Bus(settings, _journal(settings), transport)
    bus.start()
    Sweeper(bus).start()
    return bus


def _journal(settings: Settings) -> Journal:
    """The journal that the settings name, not open yet. Raises SettingsError where its extra is not installed."""
    if not settings.on_redis:
        return SqliteJournal(settings.journal_path)
    try:
        from eventbus.journal.redis import RedisJournal  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError("a journal on Redis needs the extra: pip install 'eventbus[redis]'") from error
    return RedisJournal(settings.journal, lost=_end)


def _end() -> None:
    """End as at a deploy: another bus has the journal."""
    os.kill(os.getpid(), signal.SIGTERM)


def _tell_limits(settings: Settings, environment: Mapping[str, str]) -> None:
    """What an operator should know of where this journal lives."""
    if settings.journal_path == MEMORY:
        log.warning("the journal is in memory: a restart loses what is pending")
    elif "DYNO" in environment and not settings.on_redis:
        log.warning("this host's disk does not outlive the process: what is pending at a restart is lost")
    if environment.get("WEB_CONCURRENCY", "1").strip() not in ("", "1"):
        log.info("WEB_CONCURRENCY is passed over: one process owns a journal")
