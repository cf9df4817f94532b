"""Builds the bus from the environment, and starts it."""

import logging
from collections.abc import Callable, Mapping, Sequence

from eventbus import __version__
from eventbus.cluster.ownership import Ownership
from eventbus.core.errors import SettingsError
from eventbus.core.settings import MEMORY, Settings, from_environment, unknown_names
from eventbus.core.settings_text import changed_settings
from eventbus.delivery.transport import Dialer, SessionTransport, Transport
from eventbus.delivery.transport.client_tls import client_tls
from eventbus.delivery.transport.tracing import traced
from eventbus.delivery.transport.trust_store import find_store
from eventbus.journal.sqlite import SQLITE_VERSION, SqliteJournal
from eventbus.services.audit import SYSTEM, AuditEntry, Changed
from eventbus.services.bus import Bus

log = logging.getLogger(__name__)


def start_bus(environment: Mapping[str, str], listeners: Callable[[int], Sequence[tuple[str, int]]]) -> Bus:
    """Read the settings, open the journal, and begin to deliver. Raises SettingsError and JournalError.

    ``listeners`` returns the addresses at which the bus itself listens, given its ``PORT``: nothing is delivered there.
    """
    settings = from_environment(environment)
    for warning in unknown_names(environment):
        log.warning("%s", warning)
    log.info("eventbus %s starts, journal %s, SQLite %s", __version__, settings.journal_redacted, SQLITE_VERSION)
    _log_limits(settings, environment)
    dialer = Dialer(settings.networks, listeners(settings.port), settings.allow_ports)
    for problem in find_store().problems:
        log.warning("%s", problem)
    tls = client_tls(settings.ca_file, settings.client_cert, settings.client_key)
    asks_consent = settings.verify == "handshake"
    transport: Transport = SessionTransport(
        dialer, settings.signing_secrets, settings.origin, tls, asks_consent=asks_consent
    )
    if settings.tracing == "otel":
        transport = traced(transport)
    bus = _on_redis(settings, transport) if settings.on_redis else _on_sqlite(settings, transport)
    bus.start()
    _note_settings(bus)
    return bus


def _note_settings(bus: Bus) -> None:
    """Note in the audit with which settings the bus has started, as far as they are not the defaults."""
    changed = changed_settings(bus.settings)
    text = "; ".join(f"{name}={value}" for name, value in changed.items())
    bus.audit.note(AuditEntry(Changed.STARTED, "settings", len(changed), SYSTEM, {"settings": text} if text else {}))


def _on_sqlite(settings: Settings, transport: Transport) -> Bus:
    """Return a bus that owns its journal."""
    return Bus(settings, SqliteJournal(settings.journal_path, max_bytes=settings.journal_max_bytes), transport)


def _on_redis(settings: Settings, transport: Transport) -> Bus:
    """Return a bus in a cluster that shares its journal. Raises SettingsError without the extra for it."""
    try:
        from eventbus.journal.redis import RedisJournal, ReplicationPolicy  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError("a journal on Redis needs the extra: pip install 'eventbus[redis]'") from error
    replication = ReplicationPolicy(settings.redis_replicas, settings.redis_fsync)
    journal = RedisJournal(settings.journal, replication=replication)
    return Bus(settings, journal, transport, cluster=Ownership(journal))


def _log_limits(settings: Settings, environment: Mapping[str, str]) -> None:
    """Log what an operator should know of this journal."""
    if settings.journal_path == MEMORY:
        log.warning("the journal is in memory: a restart loses what is pending")
    elif "DYNO" in environment and not settings.on_redis:
        log.warning("this host's disk does not outlive the process: what is pending at a restart is lost")
    if not settings.on_redis and (settings.redis_replicas or settings.redis_fsync):
        log.warning("EVENTBUS_REDIS_REPLICAS and EVENTBUS_REDIS_FSYNC have no effect on a journal in a file")
    if not settings.on_redis and environment.get("WEB_CONCURRENCY", "1").strip() not in ("", "1"):
        log.info("ignoring WEB_CONCURRENCY: one process owns a SQLite journal")
