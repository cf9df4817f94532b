from dataclasses import fields

import pytest

from eventbus.core.errors import SettingsError
from eventbus.core.networks import NetworkRules
from eventbus.core.settings import Settings, from_environment, unknown_names
from eventbus.core.tokens import tokens_of

NUMBERS = [
    # variable, field, default, smallest, largest, whole
    ("PORT", "port", 3_000, 1, 65_535, True),
    ("EVENTBUS_JOURNAL_QUOTA_BYTES", "journal_quota_bytes", 0, 0, 2**50, True),
    ("EVENTBUS_JOURNAL_MAX_BYTES", "journal_max_bytes", 1_073_741_824, 1_048_576, 2**50, True),
    ("EVENTBUS_REDIS_REPLICAS", "redis_replicas", 0, 0, 100, True),
    ("EVENTBUS_RETENTION_SECONDS", "retention_seconds", 86_400, 1, 31_536_000, False),
    ("EVENTBUS_LEASE_SECONDS", "lease_seconds", 120, 5, 86_400, False),
    ("EVENTBUS_SWEEP_SECONDS", "sweep_seconds", 60, 0.1, 3_600, False),
    ("EVENTBUS_MAX_SUBSCRIBERS", "max_subscribers", 20_000, 1, 1_000_000, True),
    ("EVENTBUS_MAX_SUBSCRIBERS_PER_HOST", "max_subscribers_per_host", 2_000, 1, 1_000_000, True),
    ("EVENTBUS_REQUEST_SECONDS", "request_seconds", 30, 0.1, 3_600, False),
    ("EVENTBUS_MAX_BODY_BYTES", "max_body_bytes", 1_048_576, 1, 1_073_741_824, True),
    ("EVENTBUS_MAX_BODIES_BYTES", "max_bodies_bytes", 134_217_728, 1_048_576, 2**50, True),
    ("EVENTBUS_MAX_CONNECTIONS_PER_ADDRESS", "max_connections_per_address", 0, 0, 1_000_000, True),
    ("EVENTBUS_MAX_IN_FLIGHT", "max_in_flight", 512, 1, 10_000, True),
    ("EVENTBUS_RETRY_SECONDS", "retry_seconds", 86_400, 0, 31_536_000, False),
    ("EVENTBUS_DRAIN_SECONDS", "drain_seconds", 20, 0, 3_600, False),
]
BOUNDS = [(name, field, bound) for name, field, _, *bounds, _ in NUMBERS for bound in bounds]
BEYOND = [(name, beyond) for name, _, _, low, high, _ in NUMBERS for beyond in (low - 1, high + 1)]
WHOLE = [name for name, *_, whole in NUMBERS if whole]
FRACTIONS = [(name, field) for name, field, *_, whole in NUMBERS if not whole]
NAMES = [name for name, *_ in NUMBERS]


def test_every_setting_has_its_documented_default() -> None:
    """Nothing has to be set: each setting has the default that the protocol names."""
    defaults: dict[str, object] = {field: default for _, field, default, *_ in NUMBERS}
    defaults |= {"journal": "sqlite:///eventbus.db", "verify": "none", "origin": "eventbus", "signing_secrets": ()}
    defaults |= {"log_format": "text", "log_level": "info", "tracing": "none", "redis_fsync": False, "ca_file": ""}
    defaults |= {"subscribers": "", "tokens_file": ""}
    defaults |= {"networks": NetworkRules(), "tokens": tokens_of({}), "hosts": "", "allow_ports": frozenset()}
    defaults |= {"client_cert": "", "client_key": ""}
    settings = from_environment({})
    assert {f.name: getattr(settings, f.name) for f in fields(Settings)} == defaults


@pytest.mark.parametrize(("name", "field", "bound"), BOUNDS)
def test_a_number_may_be_its_smallest_and_its_largest(name: str, field: str, bound: float) -> None:
    """Each number is read from its variable, and both ends of its range are allowed."""
    assert getattr(from_environment({name: f" {bound} "}), field) == bound


@pytest.mark.parametrize(("name", "beyond"), BEYOND)
def test_a_number_out_of_range_stops_the_start(name: str, beyond: float) -> None:
    """A number beyond its range is refused with the variable and the value."""
    with pytest.raises(SettingsError) as error:
        from_environment({name: str(beyond)})
    assert str(error.value).startswith(f"{name} must be")
    assert str(beyond) in str(error.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["many", "nan", "inf", "1 000", "0x10"])
def test_what_is_no_number_stops_the_start(name: str, text: str) -> None:
    """What is not a finite number is refused with the variable and the value."""
    with pytest.raises(SettingsError, match=f"^{name} must be .* not '?{text}"):
        from_environment({name: text})


@pytest.mark.parametrize("name", WHOLE)
def test_a_count_is_a_whole_number(name: str) -> None:
    """Ports, counts and bytes are whole numbers."""
    with pytest.raises(SettingsError, match=f"^{name} must be a whole number .* not '3000.5'"):
        from_environment({name: "3000.5"})


@pytest.mark.parametrize(("name", "field"), FRACTIONS)
def test_seconds_may_have_a_fraction(name: str, field: str) -> None:
    """Durations may have a fraction of a second."""
    assert getattr(from_environment({name: "7.5"}), field) == 7.5


def test_an_error_names_the_range_exactly() -> None:
    """A refused number is answered with the whole range, to the last digit."""
    with pytest.raises(SettingsError, match="from 1048576 to 1125899906842624"):
        from_environment({"EVENTBUS_JOURNAL_MAX_BYTES": "1"})


@pytest.mark.parametrize("name", [*NAMES, "EVENTBUS_JOURNAL"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_is_not_set(name: str, empty: str) -> None:
    """A variable that is empty counts as not set, as container platforms often leave it."""
    assert from_environment({name: empty}) == Settings()


@pytest.mark.parametrize("text", ["sqlite:///events.db", "sqlite:////var/lib/events.db", "sqlite:///:memory:"])
def test_a_journal_is_a_file_or_memory(text: str) -> None:
    """The journal is named by the URL of a SQLite file, relative or absolute, or of memory."""
    assert from_environment({"EVENTBUS_JOURNAL": text}).journal == text


@pytest.mark.parametrize("text", ["events.db", "sqlite:///", "sqlite://events.db", "postgres://u:secret@host/events"])
def test_a_journal_of_another_kind_stops_the_start(text: str) -> None:
    """A journal that the bus cannot open is refused with what it may be, and without what may be secret in it."""
    with pytest.raises(SettingsError, match=r"^EVENTBUS_JOURNAL must be sqlite:///PATH, ") as error:
        from_environment({"EVENTBUS_JOURNAL": text})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "before", ["redis:/:", "redis:", "redis//:", "rediss:/user:", "reddis://:", "", ":", "//:", " redis ://:"]
)
def test_a_misspelt_redis_url_is_not_repeated(before: str) -> None:
    """Whatever the slip: there may be a password in what follows."""
    with pytest.raises(SettingsError, match=r"^EVENTBUS_JOURNAL ") as error:
        from_environment({"EVENTBUS_JOURNAL": f"{before}hush-hush@redis.internal:6379/0"})
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://:pass@10.0.0.7:6380/2", "redis://10.0.0.7:6380/2"),
        ("rediss://user:p%40ss@redis.internal:6379/0?ssl_cert_reqs=none", "rediss://redis.internal:6379/0"),
        ("redis://[::1]:6379/1", "redis://[::1]:6379/1"),
        ("redis+sentinel://:pass@a,b:7/main/1", "redis+sentinel://a,b:7/main/1"),
        ("rediss+cluster://user:pass@a,b:7", "rediss+cluster://a,b:7"),
    ],
)
def test_a_journal_may_be_on_redis_and_is_shown_without_its_password(text: str, shown: str) -> None:
    """A Redis URL is taken as it is, and told to people without user, password and options."""
    settings = from_environment({"EVENTBUS_JOURNAL": text})
    assert (settings.journal, settings.journal_redacted, settings.on_redis) == (text, shown, True)
    assert text not in repr(settings)


@pytest.mark.parametrize(
    "text",
    ["redis://", "redis:///0", "redis://:secret@host:99999", "redis://secret@host/events", "redis://h?db=secret"],
)
def test_a_redis_url_that_names_no_server_stops_the_start(text: str) -> None:
    """A broken Redis URL is refused with its form, and not repeated: there may be a password in it."""
    with pytest.raises(SettingsError, match=r"redis://\[USER:PASSWORD@\]HOST") as error:
        from_environment({"EVENTBUS_JOURNAL": text})
    assert "secret" not in str(error.value)


def test_a_misspelt_name_is_warned_of_with_the_nearest() -> None:
    """A misspelt setting is warned of, with the one that was probably meant."""
    assert unknown_names({"EVENTBUS_LEASE_SECOND": "60"}) == [
        "EVENTBUS_LEASE_SECOND is not a setting of the bus; did you mean EVENTBUS_LEASE_SECONDS?"
    ]


def test_a_name_like_no_other_is_warned_of_alone() -> None:
    """An unknown setting that resembles none is warned of without a guess, each in its turn."""
    assert unknown_names({"EVENTBUS_ZZZ": "", "EVENTBUS_COLOUR": "red"}) == [
        "EVENTBUS_COLOUR is not a setting of the bus",
        "EVENTBUS_ZZZ is not a setting of the bus",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *NAMES,
        "EVENTBUS_JOURNAL",
        "EVENTBUS_URL",
        "EVENTBUS_TOKEN",
        "EVENTBUS_PORT",
        "EVENTBUS_PORT_3000_TCP_ADDR",
        "EVENTBUS_SERVICE_HOST",
        "PATH",
        "MY_EVENTBUS_THING",
    ],
)
def test_known_names_are_no_reason_for_a_warning(name: str) -> None:
    """Settings, the client's names, those of Kubernetes and of others raise no warning."""
    assert unknown_names({name: "1"}) == []


def test_the_key_of_no_certificate_is_refused() -> None:
    """A key alone proves nothing: the certificate has to be named, too."""
    both = from_environment({"EVENTBUS_CLIENT_CERT": " /c.pem ", "EVENTBUS_CLIENT_KEY": "/k.pem"})
    assert (both.client_cert, both.client_key) == ("/c.pem", "/k.pem")
    with pytest.raises(SettingsError, match="EVENTBUS_CLIENT_KEY is the key of a certificate: name that in"):
        from_environment({"EVENTBUS_CLIENT_KEY": "/k.pem"})
