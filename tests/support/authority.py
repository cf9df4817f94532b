"""Certificates for tests, made with the openssl command: an authority, and servers that it vouches for."""

import shutil
import ssl
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl")
#: What a server on loopback is called.
LOCAL = ("IP:127.0.0.1", "DNS:localhost")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """An authority with a folder of its own; ``ca_file`` is what has to be trusted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self.ca_file = folder / "ca.pem"
        self._key = folder / "ca.key"
        new = ("req", "-x509", *_KEY, "-days", "2", "-subj", "/CN=tests")
        run_openssl(*new, "-keyout", self._key, "-out", self.ca_file)

    def server(self, *names: str, days: int = 2, signed: bool = True) -> ssl.SSLContext:
        """What a server speaks TLS with that has these names, written as in ``subjectAltName``.

        A certificate of 0 ``days`` has expired; one that is not ``signed`` vouches for itself.
        """
        certificate, key = self.files(*names, days=days, signed=signed)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def files(self, *names: str, days: int = 2, signed: bool = True, usage: str = "serverAuth") -> tuple[Path, Path]:
        """A certificate with these names, and its key."""
        self._made += 1
        base = self._folder / f"server-{self._made}"
        certificate, key, asked = base.with_suffix(".pem"), base.with_suffix(".key"), base.with_suffix(".csr")
        named = f"subjectAltName={','.join(names)}"
        if not signed:
            new = ("req", "-x509", *_KEY, "-days", str(days), "-subj", "/CN=x", "-addext", named)
            run_openssl(*new, "-keyout", key, "-out", certificate)
            return certificate, key
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"{named}\nextendedKeyUsage={usage}\n")
        run_openssl("req", *_KEY, "-subj", "/CN=localhost", "-keyout", key, "-out", asked)
        signing = ("-CA", self.ca_file, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions)
        run_openssl("x509", "-req", "-in", asked, *signing, "-days", str(days), "-out", certificate)
        return certificate, key

    def client_files(self, name: str, days: int = 2) -> tuple[Path, Path]:
        """A certificate by which a client with this name proves who it is, and its key."""
        return self.files(f"DNS:{name}", days=days, usage="clientAuth")

    def client(self) -> ssl.SSLContext:
        """What trusts this authority and no other."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def run_openssl(*arguments: str | Path) -> None:
    """Run the openssl command."""
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *arguments], check=True, capture_output=True)
