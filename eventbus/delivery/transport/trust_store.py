"""Finds the certificate authorities that the system trusts, and says so where it has none."""

import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

#: Name a file and a folder that OpenSSL uses instead of the system's (openssl-env(7)).
FILE_VARIABLE, DIR_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"
#: The names by which OpenSSL finds authorities in a folder (openssl-rehash(1)).
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Whose certificates are trusted, apart from EVENTBUS_CA_FILE's; ``problems`` are sentences without an end."""

    text: str
    problems: tuple[str, ...] = ()


def find_store() -> TrustStore:
    """Return whose certificates are trusted on this machine; the files are read for that."""
    return load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def load_authorities(context: ssl.SSLContext) -> TrustStore:
    """Trust the system's authorities, or those that OpenSSL's variables name; certifi's where there is neither.

    Variables that lead nowhere widen nothing: then nobody is trusted.
    """
    context.load_default_certs()
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(FILE_VARIABLE) or paths.openssl_cafile
    folders = os.environ.get(DIR_VARIABLE) or paths.openssl_capath
    problems = _wrong_variables()
    if context.cert_store_stats()["x509"] or any(map(_holds_authorities, folders.split(os.pathsep))):
        return TrustStore(f"the authorities of {file} and {folders}", problems)
    if os.environ.get(FILE_VARIABLE) or os.environ.get(DIR_VARIABLE):
        nobody = f"neither {file} nor {folders} holds a certificate: no authority is trusted but EVENTBUS_CA_FILE's"
        return TrustStore("no authority but EVENTBUS_CA_FILE's", (*problems, nobody))
    context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    missing = f"this system trusts no authority, in neither {file} nor {folders}: trusting those of certifi instead"
    return TrustStore("the authorities of certifi", (missing,))


def _wrong_variables() -> tuple[str, ...]:
    """Return what is wrong with OpenSSL's variables, of which OpenSSL itself says nothing."""
    file, folders = os.environ.get(FILE_VARIABLE, ""), os.environ.get(DIR_VARIABLE, "")
    found = []
    if file and not Path(file).is_file():
        found.append(f"{FILE_VARIABLE} names {file!r}, which is not a file: ignoring it")
    empty = [folder for folder in filter(None, folders.split(os.pathsep)) if not _holds_authorities(folder)]
    why = "which holds no certificate by the name that openssl rehash gives it: ignoring it"
    return (*found, *(f"{DIR_VARIABLE} names {folder!r}, {why}" for folder in empty))


def _holds_authorities(folder: str) -> bool:
    """Whether OpenSSL would look authorities up there."""
    try:
        return any(_HASHED.fullmatch(name) for name in os.listdir(folder))  # noqa: PTH208 - names are enough
    except OSError:
        return False
