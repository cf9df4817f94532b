"""With ``rediss`` everything that is said to Redis is said over TLS, whose certificate has to be known."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from eventbus.core.errors import JournalUnavailable
from eventbus.journal.redis import RedisJournal
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.ports import LOOPBACK, free_port
from tests.support.redis_server import NEEDS_REDIS, RedisServer

OPENSSL = shutil.which("openssl")
pytestmark = [
    NEEDS_REDIS,
    pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here to make a certificate"),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate that vouches for itself, and its key."""
    assert OPENSSL is not None
    folder = tmp_path_factory.mktemp("certificate")
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    named = ("-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{LOOPBACK}")
    kept = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"))
    subprocess.run([OPENSSL, *new, *named, *kept], check=True, capture_output=True)
    return folder


def options(certificate: Path, port: int) -> tuple[str, ...]:
    """What has a server speak TLS on a port, and nothing else there."""
    files = ("--tls-cert-file", str(certificate / "cert.pem"), "--tls-key-file", str(certificate / "key.pem"))
    known = ("--tls-ca-cert-file", str(certificate / "cert.pem"), "--tls-auth-clients", "no")
    return ("--tls-port", str(port), "--tls-replication", "yes", *files, *known)


@contextmanager
def one_server(folder: Path, certificate: Path) -> Iterator[str]:
    """The server itself."""
    port = free_port()
    with RedisServer(folder, *options(certificate, port)):
        yield f"rediss://{LOOPBACK}:{port}/0"


@contextmanager
def by_sentinel(folder: Path, certificate: Path) -> Iterator[str]:
    """A server that is watched by a Sentinel, which speaks TLS as well."""
    port, asked = free_port(), free_port()
    own = folder / "sentinel"
    own.mkdir()
    (own / "sentinel.conf").write_text(f"sentinel monitor bus {LOOPBACK} {port} 1\n")
    role = (str(own / "sentinel.conf"), "--sentinel")
    with (
        RedisServer(folder, *options(certificate, port)),
        RedisServer(own, *options(certificate, asked), role=role) as sentinel,
    ):
        eventually(lambda: b"status=ok" in sentinel.ask("INFO", "sentinel"), 30)
        yield f"rediss+sentinel://{LOOPBACK}:{asked}/bus"


@contextmanager
def in_cluster(folder: Path, certificate: Path) -> Iterator[str]:
    """A cluster of one server."""
    port = free_port()
    clustered = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes")
    with RedisServer(folder, *options(certificate, port), *clustered) as server:
        server.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        eventually(lambda: b"cluster_state:ok" in server.ask("CLUSTER", "INFO"), 30)
        yield f"rediss+cluster://{LOOPBACK}:{port}"


@pytest.fixture(params=[one_server, by_sentinel, in_cluster])
def url(request: pytest.FixtureRequest, tmp_path: Path, certificate: Path) -> Iterator[str]:
    """A journal's URL, without the certificate that it needs."""
    make: Callable[[Path, Path], AbstractContextManager[str]] = request.param
    with make(tmp_path, certificate) as found:
        yield found


def test_a_journal_is_reached_over_tls(url: str, certificate: Path) -> None:
    """With the certificate that the URL names, events are kept and found."""
    journal = RedisJournal(f"{url}?ssl_ca_certs={certificate / 'cert.pem'}")
    journal.open()
    try:
        journal.append([message("kept")])
        assert journal.event("kept") is not None
    finally:
        journal.close()


def test_a_server_whose_certificate_is_not_known_is_not_spoken_to(url: str) -> None:
    """Without the certificate nothing is said to whoever answers there."""
    with pytest.raises(JournalUnavailable):
        RedisJournal(url).open()


def test_what_is_wrong_with_a_certificate_is_told(tmp_path: Path, certificate: Path) -> None:
    """The error says that it is the certificate."""
    with one_server(tmp_path, certificate) as url, pytest.raises(JournalUnavailable, match="certificate verify failed"):
        RedisJournal(url).open()
