"""Check a journal on Redis: whether the server answers, is set as it must be, and has a journal. Change nothing."""

import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventbus.cli.doctor.connection import connection_error
from eventbus.cli.doctor.findings import Finding, ok, unfinished_copy, warning, wrong
from eventbus.core.redis_url import parse

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

_ABOUT = "journal"
#: The packages to call a Redis server with; without them it is only connected to.
_NEEDED_PACKAGES = ("redis", "gevent")
_FIX_CONNECTION = "See that it runs, and that EVENTBUS_JOURNAL names it."
_FIX_REDIS = "See docs/scaling.md on what Redis must be set to."


def diagnose(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings about the server and the journal that these settings name."""
    redacted = settings.journal_redacted
    troubles = [connection_error(host, port) for host, port in parse(settings.journal).hosts]
    why = "; ".join(dict.fromkeys(troubles))
    if all(troubles):
        yield wrong(
            _ABOUT, f"The Redis server of the journal {redacted} cannot be reached from here: {why}.", _FIX_CONNECTION
        )
    elif all(importlib.util.find_spec(name) for name in _NEEDED_PACKAGES):
        yield from _diagnose_server(settings.journal, redacted)
    else:
        yield ok(_ABOUT, f"The Redis server of the journal {redacted} can be reached from here.")


def _diagnose_server(url: str, redacted: str) -> Iterator[Finding]:
    """Yield the findings by calling the server."""
    from eventbus.core.errors import JournalError, JournalUnavailable  # noqa: PLC0415 - the server's, and only here
    from eventbus.journal.redis.store.copy_adapter import RedisCopying  # noqa: PLC0415

    journal = RedisCopying(url, redacted)
    try:
        remarks, mark = journal.open(create=False), journal.mark()
    except JournalError as error:
        fix = _FIX_CONNECTION if isinstance(error, JournalUnavailable) else _FIX_REDIS
        yield wrong(_ABOUT, f"No bus starts on the journal {redacted}: {str(error).rstrip('.')}.", fix)
        return
    finally:
        journal.close()
    yield from (warning(_ABOUT, f"Of the journal {redacted}: {remark}.", _FIX_REDIS) for remark in remarks)
    if mark is None:
        yield ok(_ABOUT, f"The journal {redacted} can be used from here.")
    else:
        yield unfinished_copy(f"The journal {redacted}", mark)
