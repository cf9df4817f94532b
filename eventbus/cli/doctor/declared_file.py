"""Check the file of declared subscribers of this environment: what is wrong in it, and how the bus differs from it."""

import os
from pathlib import Path

from eventbus.cli.declared import drift_between, read_declarations
from eventbus.cli.doctor.findings import Finding, ok, warning, wrong
from eventbus.cli.screen import pluralize
from eventbus.client import Subscriber

_ABOUT = "declared"
#: Faults and differences that are named.
MAX_NAMED = 5
_STAYS = "Until it is right, a bus keeps to what the file said before; 'eventbus check' finds all that is wrong."


def diagnose(path: str) -> list[Finding]:
    """Return the findings about a file, for a bus that starts here."""
    try:
        found = read_declarations(Path(path), os.environ)
    except OSError as error:
        return [wrong(_ABOUT, f"EVENTBUS_SUBSCRIBERS names {path!r}, which cannot be read: {error.strerror}.", _STAYS)]
    if found.faults:
        return [wrong(_ABOUT, fault.at(path), _STAYS) for fault in found.faults[:MAX_NAMED]]
    return [ok(_ABOUT, f"{path} declares {pluralize(len(found.subscribers), 'subscriber')}.")]


def diagnose_drift(path: str, registered: list[Subscriber]) -> list[Finding]:
    """Return the findings about a running bus, whose file may be another one; none for a file that is wrong."""
    try:
        found = read_declarations(Path(path))
    except OSError:
        return []
    drift = [] if found.faults else drift_between(found.subscribers, registered)
    fix = "See the bus's log, and that it reads this file: EVENTBUS_SUBSCRIBERS is set where it starts."
    return [warning(_ABOUT, f"{one.name} {one.difference}.", fix) for one in drift if one.difference][:MAX_NAMED]
