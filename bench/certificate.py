"""The certificate of the subscribers by https, which trusts nobody but itself; made with the openssl command."""

import ssl
import subprocess
from pathlib import Path

_NAMES = {"certificate": "subscribers.pem", "key": "subscribers.key"}
_KIND = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def make_certificate(folder: str) -> Path:
    """Make a certificate for 127.0.0.1 in this folder; its file."""
    certificate, key = (Path(folder, name) for name in _NAMES.values())
    named = ("-subj", "/CN=bench", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", *_KIND, *named, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate


def server_context(folder: str) -> ssl.SSLContext:
    """What subscribers speak TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*(Path(folder, name) for name in _NAMES.values()))
    return context
