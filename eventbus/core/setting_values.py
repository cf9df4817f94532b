"""Reads the values of settings, and says what is wrong with one. Each error's text begins with the setting's name."""

import re

from eventbus.core.errors import SettingsError

#: A host name, with an optional port (CloudEvents web hooks, 4.1.1).
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?\Z")


def number(name: str, text: str, low: float, high: float, *, integer: bool) -> float:
    """Return a number in a range. Raises SettingsError."""
    kind, pattern = ("a whole number", r"[0-9]+") if integer else ("a number", r"[0-9]+(\.[0-9]+)?")
    value = (int(text) if integer else float(text)) if re.fullmatch(pattern, text, re.ASCII) else None
    if value is None or not low <= value <= high:
        raise SettingsError(f"{name} must be {kind} from {_number_text(low)} to {_number_text(high)}, not {text!r}")
    return value


def _number_text(value: float) -> str:
    """Return a bound without a needless decimal point."""
    return str(int(value)) if value == int(value) else str(value)


def one_of(name: str, text: str, *allowed: str) -> str:
    """Return one of the texts that are allowed. Raises SettingsError."""
    if text not in allowed:
        raise SettingsError(f"{name} must be {' or '.join(allowed)}, not {text!r}")
    return text


def host_with_port(name: str, text: str) -> str:
    """Return a host name, with a port or without. Raises SettingsError."""
    if not _HOST.match(text):
        raise SettingsError(f"{name} must be a host name such as bus.example.com, not {text!r}")
    return text
