"""A journal on a Redis server: can it be reached, is it what a journal needs, is it a journal. Nothing is changed."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventbus.cli.doctor.connection import trouble
from eventbus.cli.doctor.copied import unfinished
from eventbus.cli.doctor.findings import Finding, warning, well, wrong
from eventbus.core.redis_url import parse

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

_ABOUT = "journal"
#: What asks a Redis server; where one of them is not installed, it is only connected to.
_NEEDED = ("redis", "gevent")
_REACH = "See that it runs, and that EVENTBUS_JOURNAL names it."
_SET = "See docs/scaling.md on what Redis must be set to."


def judged(settings: "Settings") -> Iterator[Finding]:
    """What is to be said of the server and the journal that these settings name."""
    shown = settings.journal_redacted
    troubles = [trouble(host, port) for host, port in parse(settings.journal).hosts]
    why = "; ".join(dict.fromkeys(troubles))
    if all(troubles):
        yield wrong(_ABOUT, f"The Redis server of the journal {shown} cannot be reached from here: {why}.", _REACH)
    elif all(importlib.util.find_spec(name) for name in _NEEDED):
        yield from _asked(settings.journal, shown)
    else:
        yield well(_ABOUT, f"The Redis server of the journal {shown} can be reached from here.")


def _asked(url: str, shown: str) -> Iterator[Finding]:
    """What the server itself says."""
    from eventbus.core.errors import JournalError, JournalUnavailable  # noqa: PLC0415 - the server's, and only here
    from eventbus.journal.redis.store.copy_adapter import RedisCopying  # noqa: PLC0415

    journal = RedisCopying(url, shown)
    try:
        remarks, mark = journal.open(create=False), journal.mark()
    except JournalError as error:
        mend = _REACH if isinstance(error, JournalUnavailable) else _SET
        yield wrong(_ABOUT, f"No bus starts on the journal {shown}: {str(error).rstrip('.')}.", mend)
        return
    finally:
        journal.close()
    yield from (warning(_ABOUT, f"Of the journal {shown}: {remark}.", _SET) for remark in remarks)
    if mark is None:
        yield well(_ABOUT, f"The journal {shown} can be used from here.")
    else:
        yield unfinished(f"The journal {shown}", mark)
