"""Makes the TLS context that verifies subscribers' certificates."""

import ssl

from eventbus.core.errors import SettingsError
from eventbus.delivery.transport.trust_store import load_authorities

#: Prefixes of OpenSSL's names of ciphers that are not enabled here. TLS 1.3's (TLS_) are always enabled. With DHE the
#: server chooses the prime: one of 10,000 bits costs the client half a second of processor time for each connection.
EXCLUDED_CIPHERS = ("DHE-", "TLS_")


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Return a context that requires TLS 1.2 and verifies a subscriber's certificate chain, dates and name.

    It trusts the system's authorities (``load_authorities``), and those of ``ca_file``, a PEM file. Raise SettingsError
    if ``ca_file`` is unusable.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.options |= ssl.OP_NO_RENEGOTIATION
    names = [str(cipher["name"]) for cipher in context.get_ciphers()]
    context.set_ciphers(":".join(name for name in names if not name.startswith(EXCLUDED_CIPHERS)))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a file may hold only an intermediate authority
    context.set_alpn_protocols(["http/1.1"])
    load_authorities(context)
    if ca_file:
        _add(context, ca_file)
    return context


def _add(context: ssl.SSLContext, ca_file: str) -> None:
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # ssl.SSLError is an OSError
        why = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SettingsError(f"EVENTBUS_CA_FILE must be a PEM file with certificates, not {ca_file!r}: {why}") from error
