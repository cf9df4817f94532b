"""Which certificates of subscribers are trusted."""

import logging
import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from eventbus.core.errors import SettingsError

log = logging.getLogger(__name__)

#: How OpenSSL's names begin of the ciphers that are not used, or (TLS 1.3) not chosen here. By DHE the server chooses
#: the prime, and one of 10,000 bits costs the client more than half a second of its processor for each connection.
NOT_CHOSEN = ("DHE-", "TLS_")
#: Where OpenSSL is told of another file than the system's (openssl-env(7)).
CERT_FILE = "SSL_CERT_FILE"


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Return what verifies subscribers: their chain, their dates and their name, by TLS 1.2 or newer.

    Trusted are the system's authorities, or those that ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name instead; certifi's,
    since a slim image has no others; and those in ``ca_file``, a PEM file. Raises SettingsError for one that cannot be
    used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.options |= ssl.OP_NO_RENEGOTIATION
    names = [str(cipher["name"]) for cipher in context.get_ciphers()]
    context.set_ciphers(":".join(name for name in names if not name.startswith(NOT_CHOSEN)))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a file may hold an intermediate authority alone
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    if (named := os.environ.get(CERT_FILE)) and not Path(named).is_file():
        log.warning("%s names %r, which is no file: its certificates are not trusted", CERT_FILE, named)
    if ca_file:
        _add(context, ca_file)
    return context


def _add(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is one
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"EVENTBUS_CA_FILE must be a PEM file with certificates, not {ca_file!r}: {why}") from error
