"""Keeps the TLS session with one host and port, so that further connections resume it (RFC 8446, 2.2)."""

import ssl
import time
from collections.abc import Callable

#: Seconds for which a session is resumed; then the subscriber's certificate is verified again.
MAX_RESUMED_SECONDS = 300.0


class TlsSession:
    """The session of the last whole handshake. Resuming it costs half as much, or a third with a client certificate.

    It belongs to a context: with another one, such as after a change of the client certificate, nothing is resumed.
    """

    __slots__ = ("_context", "_monotonic", "_session", "_until")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._context: ssl.SSLContext | None = None
        self._session: ssl.SSLSession | None = None
        self._until = 0.0  # monotonic

    def get(self, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """Return the session to resume by a connection with this context; None if there is none."""
        return self._session if self._is_fresh(context) else None

    def keep(self, tls: ssl.SSLObject, *, offered: bool) -> None:
        """Keep the session of a connection that has received its first data, and so the subscriber's ticket.

        ``offered`` says whether it should have resumed one. Of several whole handshakes at the same time the first
        counts: reading a session costs a quarter of a handshake.
        """
        if tls.session_reused or (not offered and self._is_fresh(tls.context)):
            return
        session = tls.session
        self._session = session if session is not None and (session.has_ticket or session.id) else None
        self._context, self._until = tls.context, self._monotonic() + MAX_RESUMED_SECONDS

    def _is_fresh(self, context: ssl.SSLContext) -> bool:
        return context is self._context and self._monotonic() < self._until
