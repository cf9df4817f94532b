import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from gevent.server import StreamServer

from eventbus.client import Unreachable, UsageError
from eventbus.client import http as module
from eventbus.client.http import HttpTransport, Request
from tests.support.ports import LOOPBACK, free_port
from tests.support.raw_server import RawServer, once
from tests.support.silent_subscriber import SilentSubscriber
from tests.support.subscriber import RecordingSubscriber

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def get(target: str = "/", timeout: float = 10.0) -> Request:
    """A request."""
    return Request("GET", target, {}, None, timeout)


@contextmanager
def transport_to(url: str) -> Iterator[HttpTransport]:
    """A transport that leaves no connection behind."""
    transport = HttpTransport(url)
    try:
        yield transport
    finally:
        transport.close()


def test_a_connection_is_kept_and_used_again() -> None:
    """One after another, requests share a connection; one that asks for its own gets it."""
    with RecordingSubscriber() as other, transport_to(other.address) as transport:
        for _ in range(5):
            assert transport.request(get()).status == 200
        assert other.connections == 1
        transport.request(get(), fresh=True)
        assert other.connections == 2


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced() -> None:
    """Nobody notices that the other side has been restarted."""
    with RecordingSubscriber() as other, transport_to(other.address) as transport:
        transport.request(get("/one"))
        other.down()
        other.up()
        assert transport.request(get("/two")).status == 200
        assert [request.path for request in other.received] == ["/one", "/two"]


def test_a_connection_that_is_idle_for_long_is_not_used() -> None:
    """It may be closed at any moment; the client closes it first."""
    with RecordingSubscriber() as other, closing(HttpTransport(other.address, max_idle_seconds=0.0)) as transport:
        transport.request(get())
        transport.request(get())
        assert other.connections == 2


def test_after_a_fork_connections_are_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that wrote to one connection would read each other's answers."""
    with RecordingSubscriber() as other, transport_to(other.address) as transport:
        transport.request(get())
        parent = os.getpid()
        monkeypatch.setattr(module.os, "getpid", lambda: parent + 1)
        transport.request(get())
        assert other.connections == 2


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"\xff" * 70_000]
)
def test_what_is_no_answer_is_unreachable(answer: bytes) -> None:
    """After a broken, short or senseless response the request may have been received."""
    with RawServer(once(answer)) as other, transport_to(other.address) as transport:
        with pytest.raises(Unreachable, match="No answer from the bus") as error:
            transport.request(get())
        assert error.value.sent


def test_silence_ends() -> None:
    """After ``timeout`` seconds without a byte."""
    with (
        SilentSubscriber() as other,
        transport_to(other.address) as transport,
        pytest.raises(Unreachable, match="timed out"),
    ):
        transport.request(get(timeout=0.1))


def test_nobody_there_is_unreachable_and_nothing_was_sent() -> None:
    """A refused connection, and a name that leads nowhere."""
    for address in (f"{LOOPBACK}:{free_port()}", "nowhere.invalid:80"):
        with transport_to(address) as transport, pytest.raises(Unreachable) as error:
            transport.request(get())
        assert not error.value.sent


def test_a_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https only a bus whose certificate is trusted is spoken to."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    asked = f"-nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {certificate}"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *asked.split(" ")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def answer(connection: socket.socket, _: object) -> None:
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as wrapped:
            wrapped.recv(65_536)  # who does not trust it ends the handshake before
            wrapped.sendall(ANSWER)

    server = StreamServer((LOOPBACK, free_port()), answer)
    server.start()
    try:
        with transport_to(f"https://localhost:{server.server_port}") as transport:
            with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
                transport.request(get())
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            assert transport.request(get()).body == b"hi"
    finally:
        server.stop()


@pytest.mark.parametrize(
    "url", ["http://a..b", f"http://{'a' * 64}.example", "ftp://bus", "http://:3000", "http://h:0"]
)
def test_a_url_that_leads_nowhere_is_refused_before_anything_is_sent(url: str) -> None:
    """A URL whose host cannot be looked up, or that is no HTTP, is misused at once."""
    with pytest.raises(UsageError, match="URL of a bus"):
        HttpTransport(url)
