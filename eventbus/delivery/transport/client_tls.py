"""Holds the TLS context for new connections to subscribers; makes another one when the client certificate changes."""

import logging
import ssl
import time
from collections.abc import Callable
from functools import partial

from eventbus.core.certificate_dates import Validity
from eventbus.core.errors import SettingsError
from eventbus.delivery.transport.certificates import client_context
from eventbus.delivery.transport.client_certificate import ClientCertificate

log = logging.getLogger(__name__)


def client_tls(ca_file: str, cert_file: str, key_file: str) -> "ClientTls":
    """Return what the settings of these files ask for; empty ones are not set. Raise SettingsError."""
    certificate = ClientCertificate(cert_file, key_file) if cert_file else None
    return ClientTls(partial(client_context, ca_file), certificate)


class ClientTls:
    """The context that verifies subscribers and proves who the bus is; ``make`` makes one without a certificate.

    The constructor raises SettingsError if the certificate cannot be used.
    """

    def __init__(
        self,
        make: Callable[[], ssl.SSLContext],
        certificate: ClientCertificate | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._make, self._certificate, self._wall = make, certificate, wall
        self._validity: Validity | None = None
        if certificate is None:
            self._context = make()
        else:
            self._state = certificate.state()
            self._context = self._load(certificate)

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection. Read the certificate again if its files have changed."""
        self._refresh()
        return self._context

    def expiry(self) -> float | None:
        """Return when the client certificate expires, in seconds since 1970; None if there is none."""
        self._refresh()
        return None if self._validity is None else self._validity.expires

    def _refresh(self) -> None:
        """Replace the context if the files have changed; keep it if they cannot be used."""
        if self._certificate is None or (state := self._certificate.state()) == self._state:
            return
        self._state = state
        try:
            self._context = self._load(self._certificate)
        except SettingsError as error:
            log.error("the client certificate that was read before stays in use: %s", error)  # noqa: TRY400 - it says all

    def _load(self, certificate: ClientCertificate) -> ssl.SSLContext:
        """Return a context with the certificate. Raise SettingsError."""
        context = self._make()
        self._validity = validity = certificate.load(context)
        level = logging.WARNING if validity.expires_soon(self._wall()) else logging.INFO
        log.log(level, "client certificate %s: valid until %s", certificate.cert_file, validity.end)
        if certificate.key_is_open():
            log.warning("every user of this machine may read the private key in %s", certificate.key_path)
        return context
