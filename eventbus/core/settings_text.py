"""Settings as texts for people: what is secret only as set or not. Pure."""

from dataclasses import fields

from eventbus.core.settings import Settings

#: Settings of which only whether they are set is displayed.
SECRET = frozenset({"tokens", "signing_secrets"})


def setting_text(name: str, current: Settings) -> str:
    """Return the value of a setting, by its field."""
    value = getattr(current, name)
    if name in SECRET:
        return "set" if value else "not set"
    if name == "journal":
        return current.journal_redacted
    if name == "networks":
        deny, allow = (", ".join(map(str, networks)) or "none" for networks in (value.deny, value.allow))
        return f"denied: {deny}; allowed: {allow}"
    return f"{value:,}" if isinstance(value, int | float) and name != "port" else str(value)


def changed_settings(current: Settings) -> dict[str, str]:
    """Return the settings that are not the defaults, by their fields."""
    default = Settings()
    names = [each.name for each in fields(Settings) if getattr(current, each.name) != getattr(default, each.name)]
    return {name: setting_text(name, current) for name in names}
