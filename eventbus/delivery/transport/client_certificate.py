"""The certificate by which the bus proves to subscribers who it is, and its key: two PEM files, or one."""

import re
import ssl
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eventbus.core.certificate_dates import Validity, validity_of
from eventbus.core.errors import SettingsError

_CERT, _KEY = "EVENTBUS_CLIENT_CERT", "EVENTBUS_CLIENT_KEY"
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
#: How a PEM file says that a key is encrypted: by PKCS #8 (RFC 7468, 11), or as OpenSSL did before (RFC 1421, 4.6.1.1).
_ENCRYPTED = re.compile(r"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)

#: What changes with a file: when it was written, its number, its device and its bytes; the error if it cannot be seen.
FileState = tuple[int, int, int, int] | str


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """The files of EVENTBUS_CLIENT_CERT, which may hold a chain, and of EVENTBUS_CLIENT_KEY, which may be the same."""

    cert_file: str
    key_file: str = ""

    def load(self, context: ssl.SSLContext) -> Validity:
        """Use the certificate in new connections; return when it is valid. Raise SettingsError if that cannot be."""
        try:
            validity = validity_of(_text_of(_CERT, self.cert_file))
        except ValueError as error:
            raise SettingsError(
                f"{_CERT} must be a PEM file with a certificate, not {self.cert_file!r}: {error}"
            ) from None
        self._check_key(_text_of(_KEY if self.key_file else _CERT, self.key_path))
        try:
            context.load_cert_chain(self.cert_file, self.key_path, password="")
        except ssl.SSLError as error:
            raise SettingsError(self._refusal(error)) from None
        except OSError as error:  # removed meanwhile
            raise SettingsError(f"{_CERT} or {_KEY} cannot be read: {error.strerror}") from None
        return validity

    def state(self) -> tuple[FileState, FileState]:
        """Return what tells whether the files are those that were read before."""
        return _state_of(self.cert_file), _state_of(self.key_path)

    @property
    def key_path(self) -> str:
        """The file that holds the private key."""
        return self.key_file or self.cert_file

    def key_is_open(self) -> bool:
        """Whether every user of this machine may read the key."""
        with suppress(OSError):  # removed meanwhile
            return bool(Path(self.key_path).stat().st_mode & stat.S_IROTH)
        return False

    def _check_key(self, pem: str) -> None:
        """Refuse a file without a key, or with one that would have to be decrypted. Raise SettingsError."""
        if not _PRIVATE_KEY.search(pem):
            if self.key_file:
                raise SettingsError(
                    f"{_KEY} must be a PEM file with a private key, not {self.key_file!r}: it holds none"
                )
            raise SettingsError(f"{_CERT} {self.cert_file!r} holds no private key: name its file in {_KEY}")
        if _ENCRYPTED.search(pem):
            name = f"{_KEY if self.key_file else _CERT} {self.key_path!r}"
            raise SettingsError(
                f"{name} holds an encrypted key, which is not supported: decrypt it with 'openssl pkey'"
            )

    def _refusal(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            name = f"{_KEY if self.key_file else _CERT} {self.key_path!r}"
            return f"{name} holds a key that does not match the first certificate in {self.cert_file!r}"
        why = (error.reason or "they are not whole").replace("_", " ").lower()
        return f"{_CERT} {self.cert_file!r} and its key in {self.key_path!r} cannot be used: {why}"


def _text_of(setting: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise SettingsError(f"{setting} cannot be read from {path!r}: {error.strerror}") from None


def _state_of(path: str) -> FileState:
    try:
        found = Path(path).stat()
    except OSError as error:
        return error.strerror or str(error)
    return found.st_mtime_ns, found.st_ino, found.st_dev, found.st_size
