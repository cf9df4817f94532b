"""All settings, with defaults and units: read once from the environment and validated."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from eventbus.core.errors import SettingsError
from eventbus.core.host_names import names_of
from eventbus.core.networks import NetworkRules, rules_of
from eventbus.core.ports import ports_of
from eventbus.core.redis_url import FORMS, TLS_OPTIONS, is_redis, parse
from eventbus.core.setting_values import host_with_port, number, one_of
from eventbus.core.signing import secrets_of
from eventbus.core.tokens import Scope, Tokens, tokens_of

#: Settings of the client, which need no warning.
CLIENT_NAMES = frozenset({"EVENTBUS_URL", "EVENTBUS_TOKEN"})
#: Names that Kubernetes sets in every pod if there is a service called ``eventbus``.
KUBERNETES_NAME = re.compile(r"EVENTBUS_(PORT|PORT_.*|SERVICE_.*)\Z")

#: The prefix of an embedded journal's URL, and the path of one in memory.
SQLITE = "sqlite:///"
MEMORY = ":memory:"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a bus, each with its unit."""

    # Listening
    port: int = 3000  # TCP port, on all interfaces

    # Journal
    journal: str = field(default="sqlite:///eventbus.db", repr=False)  # or sqlite:///:memory:, or redis://HOST/NUMBER
    redis_replicas: int = 0  # of the Redis server, which must have an event before it is accepted
    redis_fsync: bool = False  # whether the server and its replicas must have it on disk
    journal_max_bytes: int = 1_073_741_824  # bytes; beyond it, settled events are trimmed early
    journal_quota_bytes: int = 0  # bytes of a full journal that one subscription may hold back; 0 is a quarter
    retention_seconds: float = 86_400  # seconds that settled events and dead letters are kept

    # Subscribers
    lease_seconds: float = 120  # seconds; the lease of a subscriber that does not set one
    sweep_seconds: float = 60  # seconds between two checks for expired leases, at most

    subscribers: str = ""  # a file of declared subscribers
    max_subscribers: int = 20_000  # including those whose positions are kept
    max_subscribers_per_host: int = 2_000  # on one host or address

    # Publishing
    max_body_bytes: int = 1_048_576  # bytes in the largest event
    max_bodies_bytes: int = 134_217_728  # bytes of request bodies and unread responses that are held at once
    max_connections_per_address: int = 0  # of clients; 0 is three quarters of all
    request_seconds: float = 30  # seconds in which a request's head has to arrive, and then its body

    # Delivery
    max_in_flight: int = 512  # deliveries in flight, over all subscribers
    retry_seconds: float = 86_400  # seconds for which a delivery is attempted

    # Security
    networks: NetworkRules = field(default_factory=NetworkRules)  # where subscribers may be
    allow_ports: frozenset[int] = frozenset()  # ports of other protocols than HTTP to which the bus may deliver
    tokens: Tokens = field(default_factory=Tokens, repr=False)  # by scope; without any, everything is open
    tokens_file: str = ""  # a file of named tokens, beside them
    hosts: str = ""  # host names for browsers without tokens, in addition to private ones; * is any
    ca_file: str = ""  # a PEM file of further trusted authorities
    client_cert: str = ""  # a PEM file by which the bus proves to subscribers who it is
    client_key: str = ""  # a PEM file with its private key, unless that is in the same file
    signing_secrets: tuple[bytes, ...] = field(default=(), repr=False)  # without any, deliveries are not signed
    verify: str = "none"  # or handshake: a subscriber has to consent first
    origin: str = "eventbus"  # the name in the request for consent

    # Logging
    log_format: str = "text"  # or json
    log_level: str = "info"  # debug, info, warning or error
    tracing: str = "none"  # or otel: spans for OpenTelemetry, by the extra of that name

    # Shutdown
    drain_seconds: float = 20  # seconds for deliveries in flight to finish at SIGTERM

    @property
    def journal_path(self) -> str:
        """The path of the SQLite file, or ``:memory:``."""
        return self.journal.removeprefix(SQLITE)

    @property
    def on_redis(self) -> bool:
        """Whether the journal is on a Redis server."""
        return is_redis(self.journal)

    @property
    def journal_redacted(self) -> str:
        """The journal's URL without its secrets."""
        return parse(self.journal).redacted if self.on_redis else self.journal


#: For each numeric setting: the field, the smallest and the largest value.
_NUMBERS: dict[str, tuple[str, float, float]] = {
    "PORT": ("port", 1, 65_535),
    "EVENTBUS_JOURNAL_MAX_BYTES": ("journal_max_bytes", 1_048_576, 2**50),
    "EVENTBUS_JOURNAL_QUOTA_BYTES": ("journal_quota_bytes", 0, 2**50),
    "EVENTBUS_REDIS_REPLICAS": ("redis_replicas", 0, 100),
    "EVENTBUS_RETENTION_SECONDS": ("retention_seconds", 1, 31_536_000),
    "EVENTBUS_LEASE_SECONDS": ("lease_seconds", 5, 86_400),
    "EVENTBUS_SWEEP_SECONDS": ("sweep_seconds", 0.1, 3_600),
    "EVENTBUS_MAX_SUBSCRIBERS": ("max_subscribers", 1, 1_000_000),
    "EVENTBUS_MAX_SUBSCRIBERS_PER_HOST": ("max_subscribers_per_host", 1, 1_000_000),
    "EVENTBUS_REQUEST_SECONDS": ("request_seconds", 0.1, 3_600),
    "EVENTBUS_MAX_BODY_BYTES": ("max_body_bytes", 1, 1_073_741_824),
    "EVENTBUS_MAX_BODIES_BYTES": ("max_bodies_bytes", 1_048_576, 2**50),
    "EVENTBUS_MAX_CONNECTIONS_PER_ADDRESS": ("max_connections_per_address", 0, 1_000_000),
    "EVENTBUS_MAX_IN_FLIGHT": ("max_in_flight", 1, 10_000),
    "EVENTBUS_RETRY_SECONDS": ("retry_seconds", 0, 31_536_000),
    "EVENTBUS_DRAIN_SECONDS": ("drain_seconds", 0, 3_600),
}
_NETWORKS = ("EVENTBUS_DENY_NETWORKS", "EVENTBUS_ALLOW_NETWORKS")
_ALLOW_PORTS = "EVENTBUS_ALLOW_PORTS"
_TOKENS = {scope: f"EVENTBUS_{scope.upper()}_TOKENS" for scope in Scope}
_FSYNC, _CLIENT_CERT, _CLIENT_KEY = "EVENTBUS_REDIS_FSYNC", "EVENTBUS_CLIENT_CERT", "EVENTBUS_CLIENT_KEY"
#: Settings that are paths, and their fields.
_FILES = {"EVENTBUS_CA_FILE": "ca_file", _CLIENT_CERT: "client_cert", _CLIENT_KEY: "client_key"}
_SECRETS, _VERIFY, _ORIGIN = "EVENTBUS_SIGNING_SECRETS", "EVENTBUS_VERIFY", "EVENTBUS_ORIGIN"
_HOSTS = "EVENTBUS_HOSTS"
_LOG_FORMAT, _LOG_LEVEL, _TRACING = "EVENTBUS_LOG_FORMAT", "EVENTBUS_LOG_LEVEL", "EVENTBUS_TRACING"
_JOURNAL, _SUBSCRIBERS, _TOKENS_FILE = "EVENTBUS_JOURNAL", "EVENTBUS_SUBSCRIBERS", "EVENTBUS_TOKENS_FILE"
_TEXTS = (
    _JOURNAL, _SUBSCRIBERS, _TOKENS_FILE, _ALLOW_PORTS, _FSYNC, *_FILES, _SECRETS, _VERIFY, _ORIGIN, _HOSTS,
    _LOG_FORMAT, _LOG_LEVEL, _TRACING,
)  # fmt: skip
_KNOWN = frozenset({*_NUMBERS, *_NETWORKS, *_TOKENS.values(), *_TEXTS})


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; an empty value counts as not set.

    Raises SettingsError for the first invalid one.
    """
    values: dict[str, Any] = {}
    for name, (key, low, high) in _NUMBERS.items():
        if text := environment.get(name, "").strip():
            values[key] = number(name, text, low, high, integer=_is_integer(key))
    if text := environment.get(_JOURNAL, "").strip():
        values["journal"] = _journal(text)
    if text := environment.get(_FSYNC, "").strip():
        values["redis_fsync"] = one_of(_FSYNC, text, "no", "yes") == "yes"
    values |= _files(environment)
    values["subscribers"] = environment.get(_SUBSCRIBERS, "").strip()
    values["tokens_file"] = environment.get(_TOKENS_FILE, "").strip()
    deny, allow = (environment.get(name, "") for name in _NETWORKS)
    values["networks"] = rules_of(deny, allow)
    values["allow_ports"] = ports_of(environment.get(_ALLOW_PORTS, ""))
    values["tokens"] = tokens_of({scope: environment.get(name, "") for scope, name in _TOKENS.items()})
    values["hosts"] = names_of(environment.get(_HOSTS, ""))
    values["signing_secrets"] = secrets_of(environment.get(_SECRETS, ""))
    if text := environment.get(_VERIFY, "").strip():
        values["verify"] = one_of(_VERIFY, text, "none", "handshake")
    if text := environment.get(_LOG_FORMAT, "").strip():
        values["log_format"] = one_of(_LOG_FORMAT, text, "text", "json")
    if text := environment.get(_TRACING, "").strip():
        values["tracing"] = one_of(_TRACING, text, "none", "otel")
    if text := environment.get(_LOG_LEVEL, "").strip():
        values["log_level"] = one_of(_LOG_LEVEL, text, "debug", "info", "warning", "error")
    if text := environment.get(_ORIGIN, "").strip():
        values["origin"] = host_with_port(_ORIGIN, text)
    return Settings(**values)


def unknown_names(environment: Mapping[str, str]) -> list[str]:
    """Return a warning for each unknown ``EVENTBUS_`` name, with the nearest known one."""
    return [
        f"{name} is not a setting of the bus{_nearest(name)}"
        for name in sorted(environment)
        if name.startswith("EVENTBUS_")
        and name not in _KNOWN
        and name not in CLIENT_NAMES
        and not KUBERNETES_NAME.match(name)
    ]


def _nearest(name: str) -> str:
    """Return a hint at the nearest known name, compared without the common prefix."""
    ends = {known.removeprefix("EVENTBUS_"): known for known in sorted(_KNOWN)}
    close = difflib.get_close_matches(name.removeprefix("EVENTBUS_"), ends, n=1, cutoff=0.75)
    return f"; did you mean {ends[close[0]]}?" if close else ""


def _files(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the paths. Raises SettingsError for a key without its certificate."""
    values = {key: environment.get(name, "").strip() for name, key in _FILES.items()}
    if values["client_key"] and not values["client_cert"]:
        raise SettingsError(f"{_CLIENT_KEY} is the key of a certificate: name that in {_CLIENT_CERT}")
    return values


def _is_integer(key: str) -> bool:
    return {f.name: f.type for f in fields(Settings)}[key] in ("int", int)


def _journal(text: str) -> str:
    if is_redis(text):
        return _redis(text)
    if not text.startswith(SQLITE) or text == SQLITE:
        raise SettingsError(
            f"EVENTBUS_JOURNAL must be sqlite:///PATH, sqlite:///:memory: or redis://HOST:PORT/NUMBER,"
            f" not {_safe_part(text)}"
        )
    return text


def _safe_part(text: str) -> str:
    """Return what may be repeated of an invalid URL: after a scheme there may be secrets."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+-]{0,30}:", text)
    if scheme:
        return f"a URL that begins with {scheme[0]!r}"
    return repr(text[:200]) if re.fullmatch(r"[\w./-]+", text) else "the current value"


def _redis(text: str) -> str:
    """Return a valid Redis URL. Raises SettingsError, which does not repeat it: it may hold a password."""
    try:
        parse(text)
    except ValueError:
        raise SettingsError(
            f"EVENTBUS_JOURNAL on Redis must be {', '.join(FORMS)}; with rediss for TLS, and then optionally a"
            f" query with {', '.join(sorted(TLS_OPTIONS))}"
        ) from None
    return text
