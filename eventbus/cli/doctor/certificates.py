"""Check whose certificates are trusted on this machine, and the bus's own, for a bus that starts here."""

import ssl
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventbus.cli.doctor.findings import Finding, ok, warning, wrong

if TYPE_CHECKING:
    from eventbus.core.settings import Settings

_ABOUT = "certificates"
_CLOSE = "Let its owner alone read it: chmod 600."
_RENEW = "Renew it; a running bus reads it again by itself."


def diagnose(settings: "Settings") -> Iterator[Finding]:
    """Yield the findings about files that ``check_settings`` has found usable."""
    from eventbus.delivery.transport.trust_store import find_store  # noqa: PLC0415 - the server's, and only here

    store = find_store()
    if store.problems:
        fix = "Install the package ca-certificates, or set SSL_CERT_FILE and SSL_CERT_DIR right."
        yield from (warning(_ABOUT, f"{problem[0].upper()}{problem[1:]}.", fix) for problem in store.problems)
    else:
        yield ok(_ABOUT, f"Subscribers by https are verified by {store.text}.")
    if settings.client_cert:
        yield from _client_certificate(settings.client_cert, settings.client_key)


def _client_certificate(cert_file: str, key_file: str) -> Iterator[Finding]:
    from eventbus.delivery.transport.client_certificate import ClientCertificate  # noqa: PLC0415 - as above

    certificate = ClientCertificate(cert_file, key_file)
    validity, now = certificate.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), time.time()
    expires = "expires" if validity.expires > now else "expired"
    text = f"The client certificate in {cert_file!r} {expires} on {validity.end}."
    if validity.expires <= now:
        yield wrong(_ABOUT, text, _RENEW)
    elif validity.expires_soon(now):
        yield warning(_ABOUT, text, _RENEW)
    else:
        yield ok(_ABOUT, text)
    if certificate.key_is_open():
        yield warning(_ABOUT, f"Every user of this machine may read the private key {certificate.key_path!r}.", _CLOSE)
