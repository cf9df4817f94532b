"""A journal that is an unfinished copy of another one, on which no bus starts."""

from typing import TYPE_CHECKING

from eventbus.cli.doctor.findings import Finding, wrong

if TYPE_CHECKING:
    from eventbus.journal.copy.copying import Mark

_MEND = "Run 'eventbus journal copy' with both again, which goes on where it stood; or begin with an empty journal."


def unfinished(where: str, mark: "Mark") -> Finding:
    """What is to be said of it."""
    rows = f"{mark.done:,} of {mark.extent.total:,} rows"
    return wrong("journal", f"{where} is an unfinished copy of {mark.source} ({rows}): no bus starts on it.", _MEND)
