"""Whose certificates are trusted: the system's authorities, and the operator's own; certifi's where there are none."""

import ssl
import subprocess
from pathlib import Path

import certifi
import pytest

from eventbus.core.errors import SettingsError
from eventbus.delivery.transport.certificates import client_context
from eventbus.delivery.transport.trust_store import find_store
from tests.support.authority import OPENSSL, Authority


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's own."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)


def trusts(context: ssl.SSLContext, authority: Authority) -> bool:
    """Whether a server of this authority passes the verification."""
    return passes(context, authority.server("DNS:localhost"))


def passes(context: ssl.SSLContext, speaks: ssl.SSLContext) -> bool:
    """Whether a server that speaks TLS with this passes; what is said between the two stays in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = speaks.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
            if side is client:
                return True
    raise AssertionError("the handshake did not end")


def authorities(context: ssl.SSLContext) -> set[bytes]:
    """The certificates that are in memory."""
    return set(context.get_ca_certs(binary_form=True))


def test_a_private_authority_is_not_trusted_by_itself(authority: Authority) -> None:
    """Nobody is trusted whom no operator has named."""
    assert not trusts(client_context(), authority)


def test_an_authority_in_the_file_is_trusted_beside_the_others(authority: Authority) -> None:
    """EVENTBUS_CA_FILE adds to the authorities that are trusted anyway."""
    context = client_context(str(authority.ca_file))
    assert trusts(context, authority)
    assert authorities(context) > authorities(client_context())


def test_a_server_certificate_in_the_file_is_trusted(authority: Authority) -> None:
    """Who trusts one server alone names its certificate, and not the authority that signed it."""
    certificate, key = authority.files("DNS:localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    context = client_context(str(certificate))
    assert passes(context, server)
    assert not trusts(context, authority)


def test_openssls_own_file_is_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE names the file that OpenSSL trusts in place of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    assert trusts(client_context(), authority)


def test_openssls_own_folder_is_trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """SSL_CERT_DIR names a folder in which OpenSSL finds authorities by their hash."""
    (tmp_path / "ca.pem").write_bytes(authority.ca_file.read_bytes())
    assert OPENSSL is not None
    subprocess.run([OPENSSL, "rehash", str(tmp_path)], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert trusts(client_context(), authority)


@pytest.fixture
def no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without authorities, such as a slim image."""
    paths = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", "/nowhere/cert.pem", "SSL_CERT_DIR", "/nowhere/certs")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda _: None)


def test_the_systems_authorities_are_trusted_and_no_others() -> None:
    """What the system trusts is trusted, by the file that Python's OpenSSL was built to read; certifi's list is not."""
    system = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    system.set_default_verify_paths()
    assert authorities(system)
    assert authorities(client_context()) == authorities(system)
    assert find_store().problems == ()
    assert find_store().text.startswith("the authorities of /")


def test_without_authorities_of_the_system_certifis_are_trusted(no_store: None) -> None:
    """An image without certificates of its own reaches public subscribers by certifi's, which is said."""
    public = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    public.load_verify_locations(certifi.where())
    assert authorities(client_context()) == authorities(public)
    (problem,) = find_store().problems
    assert problem.startswith("this system trusts no authority, in neither /nowhere/cert.pem nor /nowhere/certs: ")
    assert problem.endswith("trusting those of certifi instead")


def test_variables_that_lead_nowhere_let_nobody_else_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names authorities by OpenSSL's variables, and mistypes them, trusts nobody, and is told so."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere/certs")
    assert authorities(client_context()) == set()
    file, folder, nobody = find_store().problems
    assert file == "SSL_CERT_FILE names '/nowhere/ca.pem', which is not a file: ignoring it"
    assert folder.startswith("SSL_CERT_DIR names '/nowhere/certs', which holds no certificate")
    assert nobody.endswith("no authority is trusted but EVENTBUS_CA_FILE's")


def test_a_variable_that_leads_nowhere_is_told_of(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> None:
    """OpenSSL says nothing of a folder that it does not find; the bus does, and trusts the file."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere/certs")
    assert trusts(client_context(), authority)
    assert len(authorities(client_context())) == 1
    (folder,) = find_store().problems
    assert folder.startswith("SSL_CERT_DIR names '/nowhere/certs'")


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"\x00\xff" * 100])
def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A file that is missing or holds something else is told in a sentence with its name and the reason."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        client_context(str(path))
    why = "No such file or directory" if content is None else "it holds no certificate"
    assert str(refused.value) == f"EVENTBUS_CA_FILE must be a PEM file with certificates, not '{path}': {why}"


def test_a_folder_or_a_key_is_refused(authority: Authority, tmp_path: Path) -> None:
    """A folder, and a file that holds a key alone, are no file of certificates."""
    _, key = authority.files("DNS:localhost")
    for path in (tmp_path, key):
        with pytest.raises(SettingsError, match="EVENTBUS_CA_FILE must be a PEM file"):
            client_context(str(path))


def test_no_server_chooses_the_prime() -> None:
    """What is offered is as secure as ever, but for exchanges of keys whose cost is the other side's choice."""
    usual = {cipher["name"] for cipher in ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers()}
    offered = {cipher["name"] for cipher in client_context().get_ciphers()}
    assert offered == {name for name in usual if not str(name).startswith("DHE-")}
    assert any(str(name).startswith("ECDHE-RSA-") for name in offered)
    assert any(str(name).startswith("TLS_") for name in offered)
