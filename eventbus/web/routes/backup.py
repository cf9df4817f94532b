"""``/backup``: a consistent copy of the journal, made while the bus runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from flask import Blueprint, Response, request
from gevent.hub import get_hub

from eventbus.core.errors import Draining
from eventbus.core.tokens import Scope
from eventbus.journal.backup import JournalBackup
from eventbus.services.audit import AuditEntry, Changed
from eventbus.services.bus import Bus
from eventbus.web.access import needs
from eventbus.web.audit import entry_of_request
from eventbus.web.current import the_bus
from eventbus.web.event_stream import hold_connection, the_connection
from eventbus.web.replies import NO_SNIFFING, Reply

SQLITE = "application/vnd.sqlite3"  # as registered with IANA
#: The newest sequence number in the copy, and its rows by table.
LAST_SEQ, COUNTS = "Eventbus-Last-Sequence", "Eventbus-Rows"
#: Bytes that are read and sent at once.
PART_BYTES = 131_072

blueprint = Blueprint("backup", __name__)


@blueprint.get("/backup")
@needs(Scope.ADMIN)
def backup() -> Response | Reply:
    """Copy the journal, and send the copy. Where the client goes away, the copy is given up."""
    bus = the_bus()
    if request.method == "HEAD":
        return Reply(b"", content_type=SQLITE)
    if bus.draining:
        raise Draining("The bus is stopping; try again in a few seconds.")
    hold_connection()
    started = entry_of_request(Changed.BACKUP_STARTED, "journal", 1)
    bus.audit.note(started)
    body = BackupBody(bus, started, _wanted(bus))
    rows = ", ".join(f"{table}={count}" for table, count in sorted(body.backup.counts.items()))
    headers = {
        "Content-Length": str(body.backup.size),
        "Content-Disposition": f'attachment; filename="eventbus-{body.backup.last_seq}.db"',
        LAST_SEQ: str(body.backup.last_seq),
        COUNTS: rows,
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
        **NO_SNIFFING,
    }
    return Response(body, content_type=SQLITE, headers=headers)


def _wanted(bus: Bus) -> Callable[[], bool]:
    """Return what tells whether the copy is still wanted, for any thread."""
    connection = the_connection()
    return lambda: not bus.draining and (connection is None or not connection.has_gone())


class BackupBody:
    """The body of the response: makes the copy at once, then yields its parts, and notes how it ended."""

    def __init__(self, bus: Bus, started: AuditEntry, wanted: Callable[[], bool]) -> None:
        self._bus, self._started = bus, started
        self._began, self._sent, self._closed = bus.clock.monotonic(), 0, False
        try:
            self.backup: JournalBackup = bus.backups.begin(wanted)
        except BaseException as error:
            self._note("failed", error=str(error))
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts; each was sent when the next one is asked for."""
        pool = get_hub().threadpool
        while part := pool.apply(self.backup.file.read, (PART_BYTES,)):
            yield part
            self._sent += len(part)
            self._bus.give_way()

    def close(self) -> None:
        """End the backup; called by the server, whatever has become of the response."""
        if not self._closed:
            self._closed = True
            sent = self._sent == self.backup.size
            self._bus.backups.end(self.backup, sent=sent)
            self._note("sent" if sent else "failed", last_seq=str(self.backup.last_seq))

    def _note(self, outcome: str, **more: str) -> None:
        seconds = f"{self._bus.clock.monotonic() - self._began:.3f}"
        fields = {**self._started.more, "outcome": outcome, "seconds": seconds, **more}
        self._bus.audit.note(replace(self._started, changed=Changed.BACKUP_ENDED, count=self._sent, more=fields))
