"""Check the settings of this environment and the limits of this machine, for a bus that starts here."""

import resource
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from eventbus.cli.doctor.findings import Finding, ok, warning, wrong

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

_ABOUT = "settings"
#: Settings that are secret, or made of several: only whether they are set is printed.
_SECRET_NAMES = (
    "EVENTBUS_DENY_NETWORKS", "EVENTBUS_ALLOW_NETWORKS", "EVENTBUS_PUBLISH_TOKENS", "EVENTBUS_SUBSCRIBE_TOKENS",
    "EVENTBUS_VIEW_TOKENS", "EVENTBUS_ADMIN_TOKENS", "EVENTBUS_SIGNING_SECRETS",
)  # fmt: skip


def check_settings(environment: Mapping[str, str]) -> tuple["Settings | None", list[Finding]]:
    """Return the settings, or None if they are wrong, and the findings about them."""
    from eventbus.core.errors import SettingsError  # noqa: PLC0415 - the server's, and only here
    from eventbus.core.settings import from_environment, unknown_names  # noqa: PLC0415

    unknown = [warning(_ABOUT, f"{text}.", "Unset it, or fix its name.") for text in unknown_names(environment)]
    try:
        settings = from_environment(environment)
        _check_certificates(settings)
    except SettingsError as error:
        return None, [wrong(_ABOUT, f"{error}.", "A bus that starts here stops at once: set it right."), *unknown]
    return settings, [ok(_ABOUT, "The settings of this environment are valid."), *unknown]


def _check_certificates(settings: "Settings") -> None:
    """Read the files as a start does. Raises SettingsError."""
    if not (settings.ca_file or settings.client_cert):
        return
    from eventbus.delivery.transport.certificates import client_context  # noqa: PLC0415 - the server's, and only here
    from eventbus.delivery.transport.client_certificate import ClientCertificate  # noqa: PLC0415

    context = client_context(settings.ca_file)
    if settings.client_cert:
        ClientCertificate(settings.client_cert, settings.client_key).load(context)


def list_settings(settings: "Settings", environment: Mapping[str, str]) -> dict[str, str]:
    """Return each setting by its environment name, defaults too; secrets only as set or not."""
    plain = {part.name: getattr(settings, part.name) for part in fields(settings) if part.repr}
    listed = {
        _environment_name(name): str(value) for name, value in plain.items() if isinstance(value, str | int | float)
    }
    listed["EVENTBUS_JOURNAL"] = settings.journal_redacted
    return listed | {name: "set" if environment.get(name, "").strip() else "not set" for name in _SECRET_NAMES}


def _environment_name(part: str) -> str:
    return "PORT" if part == "port" else f"EVENTBUS_{part.upper()}"


#: Files that a busy bus has open: its clients' connections, its deliveries, and some.
RECOMMENDED_OPEN_FILES = 8_192


def check_open_files() -> Finding:
    """Check how many files a process may open."""
    return diagnose_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def diagnose_open_files(hard: int) -> Finding:
    """Return the finding about the hard limit of open files: the bus raises its own soft limit to it."""
    if hard == resource.RLIM_INFINITY or hard >= RECOMMENDED_OPEN_FILES:
        most = "as many files as it likes" if hard == resource.RLIM_INFINITY else f"{hard:,} files"
        return ok("files", f"A bus that starts here may open {most}.")
    text = f"A bus that starts here may open only {hard:,} files; each connection takes one."
    return warning(
        "files",
        text,
        f"Raise the hard limit to {RECOMMENDED_OPEN_FILES:,} or more: LimitNOFILE= of systemd, or ulimits.",
    )
