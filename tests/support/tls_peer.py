"""A subscriber that speaks TLS by hand, so that it may break it at any point: in its records, and in its end."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from tests.support.raw_server import Peer, RawServer


class TlsPeer:
    """One connection after its handshake: what is sealed and what is sent are two steps."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._until_done(self._tls.do_handshake)

    def request(self) -> bytes:
        """Read what comes next, which in these tests is a whole request; nothing at the end."""
        try:
            return self.read()
        except (EOFError, ssl.SSLError):
            return b""

    def sealed(self, data: bytes) -> bytes:
        """The records that this data is sent in."""
        self._tls.write(data)
        return self._outgoing.read()

    def goodbye(self) -> bytes:
        """The record that says that nothing more comes."""
        with suppress(ssl.SSLError):  # it would wait for the other side's
            self._tls.unwrap()
        return self._outgoing.read()

    def read(self) -> bytes:
        """Read what comes next; nothing where that is a goodbye. Raises EOFError where there was none."""
        return self._until_done(lambda: self._tls.read(65_536)) or b""

    def send(self, records: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(records)

    def hang(self) -> None:
        """Wait until the bus closes the connection."""
        while self._connection.recv(65_536):
            continue

    def _until_done(self, step: Callable[[], bytes | None]) -> bytes | None:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                if self._outgoing.pending:
                    self.send(self._outgoing.read())
            data = self._connection.recv(65_536)
            if not data:
                raise EOFError
            self._incoming.write(data)


def tls_server(context: ssl.SSLContext, talk: Callable[[TlsPeer], None]) -> RawServer:
    """A server on loopback that does ``talk`` on each connection whose handshake has succeeded."""

    def shake_hands_and_talk(peer: Peer) -> None:
        talk(TlsPeer(peer.below, context))

    return RawServer(shake_hands_and_talk)
