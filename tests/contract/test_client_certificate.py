"""The bus proves to subscribers who it is by a certificate, which is read again when its files change."""

import logging
import shutil
import ssl
from pathlib import Path

import pytest

from eventbus.core.errors import SettingsError
from eventbus.delivery.transport.client_certificate import ClientCertificate
from eventbus.delivery.transport.client_tls import ClientTls, client_tls
from tests.support.authority import OPENSSL, Authority, run_openssl

pytestmark = pytest.mark.skipif(OPENSSL is None, reason="there is no openssl here to make a certificate")
DAY = 86_400


@pytest.fixture
def files(authority: Authority) -> tuple[Path, Path]:
    """A certificate of the bus, and its key."""
    return authority.client_files("bus.example")


def shown(tls: ClientTls, authority: Authority) -> bytes:
    """The certificate that a subscriber sees in a handshake."""
    server = authority.server("DNS:localhost")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(authority.ca_file)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context().wrap_bio(to_client, to_server, server_hostname="localhost")
    subscriber = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(2):
        for side in (client, subscriber):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = subscriber.getpeercert(binary_form=True)
    assert found is not None
    return found


def der(cert_file: Path) -> bytes:
    """The first certificate in a file."""
    return ssl.PEM_cert_to_DER_cert(cert_file.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n")


def make_tls(authority: Authority, cert_file: Path, key_file: Path | None = None) -> ClientTls:
    """What the settings of these files ask for."""
    return client_tls(str(authority.ca_file), str(cert_file), str(key_file or ""))


def replace(target: Path, source: Path) -> None:
    """Put a new file in place of another one, as whoever renews certificates does."""
    new = target.with_suffix(".new")
    shutil.copy(source, new)
    new.replace(target)


def test_a_subscriber_sees_the_certificate(authority: Authority, files: tuple[Path, Path]) -> None:
    """It is shown with its key in a file of its own, and in the same file, which may hold a chain."""
    cert_file, key_file = files
    assert shown(make_tls(authority, cert_file, key_file), authority) == der(cert_file)
    both = cert_file.with_name("both.pem")
    both.write_bytes(key_file.read_bytes() + cert_file.read_bytes() + authority.ca_file.read_bytes())
    assert shown(make_tls(authority, both), authority) == der(cert_file)


def test_a_new_certificate_is_used_for_new_connections(authority: Authority, files: tuple[Path, Path]) -> None:
    """Once both files are new they are read again, and it ends when the new one does; until then nothing changes."""
    tls = make_tls(authority, *files)
    before, first = tls.context(), tls.expiry()
    assert first is not None
    assert tls.context() is before
    new_cert, new_key = authority.client_files("bus.example", days=20)
    replace(files[1], new_key)
    assert tls.context() is before
    replace(files[0], new_cert)
    assert shown(tls, authority) == der(new_cert)
    assert round((tls.expiry() or 0) - first) == pytest.approx(18 * DAY, abs=60)


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_certificate_that_cannot_be_used_leaves_the_one_before(
    authority: Authority, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    """The one that was read stays in use, which is said once; a good one is used again."""
    tls, old = make_tls(authority, *files), der(files[0])
    files[0].unlink()
    if content is not None:
        files[0].write_text(content)
    with caplog.at_level(logging.INFO):
        assert [shown(tls, authority) for _ in range(3)] == [old] * 3
        (record,) = caplog.records
        assert record.levelname == "ERROR"
        assert "the client certificate that was read before stays in use: EVENTBUS_CLIENT_CERT" in record.message
        new = authority.client_files("bus.example")
        replace(files[1], new[1])
        replace(files[0], new[0])
        assert shown(tls, authority) == der(new[0])
        assert caplog.records[-1].message.startswith(f"client certificate {files[0]}: valid until 2")


def refusal(cert_file: Path, key_file: Path | str = "") -> str:
    """Why a start with these files is refused."""
    with pytest.raises(SettingsError) as refused:
        client_tls("", str(cert_file), str(key_file))
    return str(refused.value)


def test_files_that_cannot_be_used_are_refused(authority: Authority, files: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that is missing, holds something else or does not match is told by its setting and its name."""
    cert_file, key_file = files
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.touch()
    no_cert = "EVENTBUS_CLIENT_CERT must be a PEM file with a certificate, not"
    assert refusal(missing) == f"EVENTBUS_CLIENT_CERT cannot be read from '{missing}': No such file or directory"
    assert refusal(tmp_path) == f"EVENTBUS_CLIENT_CERT cannot be read from '{tmp_path}': Is a directory"
    assert refusal(empty) == f"{no_cert} '{empty}': it holds no certificate"
    assert refusal(key_file, cert_file) == f"{no_cert} '{key_file}': it holds no certificate"
    named = f"EVENTBUS_CLIENT_CERT '{cert_file}' holds no private key: name its file in EVENTBUS_CLIENT_KEY"
    assert refusal(cert_file) == named
    assert refusal(cert_file, missing).startswith(f"EVENTBUS_CLIENT_KEY cannot be read from '{missing}': No such")
    no_key = f"EVENTBUS_CLIENT_KEY must be a PEM file with a private key, not '{empty}': it holds none"
    assert refusal(cert_file, empty) == no_key
    _, other = authority.client_files("other.example")
    mismatch = f"EVENTBUS_CLIENT_KEY '{other}' holds a key that does not match the first certificate in '{cert_file}'"
    assert refusal(cert_file, other) == mismatch


@pytest.mark.parametrize("options", [("pkcs8", "-topk8"), ("ec", "-aes128")])
def test_an_encrypted_key_is_refused(files: tuple[Path, Path], tmp_path: Path, options: tuple[str, str]) -> None:
    """Nobody is asked for its passphrase, in either form of an encrypted key."""
    cert_file, key_file = files
    encrypted = tmp_path / "encrypted.key"
    run_openssl(*options, "-in", key_file, "-out", encrypted, "-passout", "pass:secret")
    why = "holds an encrypted key, which is not supported: decrypt it with 'openssl pkey'"
    assert refusal(cert_file, encrypted) == f"EVENTBUS_CLIENT_KEY '{encrypted}' {why}"


def test_a_key_that_is_not_whole_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    """The text has the files' names, and nothing of what they hold."""
    cert_file, key_file = files
    lines = key_file.read_text().splitlines()
    cut = tmp_path / "cut.key"
    cut.write_text("\n".join([lines[0], lines[1], lines[-1]]))
    text = refusal(cert_file, cut)
    assert text.startswith(f"EVENTBUS_CLIENT_CERT '{cert_file}' and its key in '{cut}' cannot be used: ")
    assert lines[1] not in text


def test_who_may_read_the_key_and_when_it_ends_is_told(
    authority: Authority, files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A key that all users may read is warned of, and so is a certificate near its end; neither stops the start."""
    cert_file, key_file = authority.client_files("bus.example", days=30)
    key_file.chmod(0o640)
    with caplog.at_level(logging.WARNING):
        make_tls(authority, cert_file, key_file)
        assert caplog.records == []
        key_file.chmod(0o644)
        make_tls(authority, cert_file, key_file)
        assert [each.message for each in caplog.records] == [
            f"every user of this machine may read the private key in {key_file}"
        ]
        caplog.clear()
        late = ClientCertificate(str(cert_file), str(key_file))
        key_file.chmod(0o600)
        tls = ClientTls(authority.client, late, wall=lambda: validity_end(late) - DAY)
        assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert tls.expiry() == validity_end(late)


def validity_end(certificate: ClientCertificate) -> float:
    """When it expires."""
    return certificate.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).expires


def test_without_a_certificate_none_expires(authority: Authority) -> None:
    """A bus that proves nothing has no date to watch."""
    assert ClientTls(authority.client).expiry() is None
