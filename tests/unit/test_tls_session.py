"""Which TLS session a new connection resumes: that of the last whole handshake, for a while, with the same context."""

import ssl
from typing import cast

from eventbus.delivery.transport.tls_session import MAX_RESUMED_SECONDS, TlsSession


class _Session:
    """Stands for a session, with a ticket or without."""

    def __init__(self, *, has_ticket: bool = True) -> None:
        self.has_ticket, self.id = has_ticket, b""


class _Tls:
    """Stands for a connection after its handshake."""

    def __init__(self, context: object, session: _Session | None, *, reused: bool = False) -> None:
        self.context, self._session, self.session_reused = context, session, reused
        self.reads = 0

    @property
    def session(self) -> _Session | None:
        """See ssl.SSLObject.session; costly."""
        self.reads += 1
        return self._session


def keep(store: TlsSession, tls: _Tls, *, offered: bool = False) -> None:
    """Keep what this connection has."""
    store.keep(cast(ssl.SSLObject, tls), offered=offered)


CONTEXT, OTHER = cast(ssl.SSLContext, object()), cast(ssl.SSLContext, object())


def test_a_session_is_resumed_for_a_while_and_with_its_context_alone() -> None:
    """Then the subscriber is verified again; after a change of the client certificate at once."""
    now = [1_000.0]
    store, session = TlsSession(lambda: now[0]), _Session()
    assert store.get(CONTEXT) is None
    keep(store, _Tls(CONTEXT, session))
    assert store.get(CONTEXT) is session
    assert store.get(OTHER) is None
    now[0] += MAX_RESUMED_SECONDS
    assert store.get(CONTEXT) is None


def test_resuming_lengthens_nothing() -> None:
    """A resumed connection has verified nobody, so that its session is not kept."""
    now = [1_000.0]
    store, session = TlsSession(lambda: now[0]), _Session()
    keep(store, _Tls(CONTEXT, session))
    now[0] += MAX_RESUMED_SECONDS - 1
    keep(store, _Tls(CONTEXT, _Session(), reused=True), offered=True)
    assert store.get(CONTEXT) is session
    now[0] += 1
    assert store.get(CONTEXT) is None


def test_of_several_whole_handshakes_the_first_is_read() -> None:
    """Reading a session is costly: only one that was refused is replaced."""
    store, first, refused = TlsSession(), _Session(), _Session()
    keep(store, _Tls(CONTEXT, first))
    second = _Tls(CONTEXT, _Session())
    keep(store, second)
    assert (store.get(CONTEXT), second.reads) == (first, 0)
    keep(store, _Tls(CONTEXT, refused), offered=True)
    assert store.get(CONTEXT) is refused


def test_a_subscriber_without_tickets_is_not_asked_again() -> None:
    """A session that cannot be resumed is none, which is remembered."""
    store = TlsSession()
    keep(store, _Tls(CONTEXT, _Session(has_ticket=False)))
    assert store.get(CONTEXT) is None
    again = _Tls(CONTEXT, _Session())
    keep(store, again)
    assert (store.get(CONTEXT), again.reads) == (None, 0)
