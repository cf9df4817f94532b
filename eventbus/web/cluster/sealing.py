"""Seals a part of a call, so that only a node which has one of the caller's tokens can read it. No I/O.

Redis, its append-only file and its replicas keep calls for anybody who can read them, and a signature hides nothing.
So the part is encrypted (AES-256 in GCM) by a key that is made for it alone, and that key by one of each token.
"""

import base64
import hmac
import os
from collections.abc import Iterable, Sequence
from typing import Any

from eventbus.core.errors import CallRefused, Conflict, EventbusError

#: Bytes of a key and of a nonce, which is random: NIST SP 800-38D, 8.2.2.
_KEY_BYTES, _NONCE_BYTES = 32, 12
#: Sealed keys of one call that are tried, at most.
MAX_KEYS = 1_000

Sealed = dict[str, Any]


def seal(keys: Iterable[bytes], plain: bytes, bound: bytes) -> Sealed:
    """Return a text that whoever has one of these keys can read, as JSON holds it; it is ``bound`` to the call.

    Raises Conflict where the package for it is not installed.
    """
    cipher, own = _cipher(Conflict), os.urandom(_KEY_BYTES)

    def encrypt(key: bytes, text: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + cipher(key).encrypt(nonce, text, bound)).decode()

    return {"keys": [encrypt(_sealing(key), own) for key in keys], "text": encrypt(own, plain)}


def unseal(keys: Sequence[bytes], sealed: Sealed, bound: bytes) -> bytes:
    """Return a sealed text. Raises CallRefused where none of these keys opens it, or it was sealed for another call.

    Raises ValueError, LookupError, TypeError and AttributeError where it is malformed.
    """
    cipher = _cipher(CallRefused)
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

    def decrypt(key: bytes, text: str) -> bytes | None:
        data = base64.b64decode(text, validate=True)
        try:
            return bytes(cipher(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound))
        except InvalidTag:
            return None

    for given in sealed["keys"][:MAX_KEYS]:
        for key in map(_sealing, keys):
            own = decrypt(key, given)
            if own is not None and (plain := decrypt(own, sealed["text"])) is not None:
                return plain
    raise CallRefused("it is sealed by none of this node's tokens; set the same ones on all nodes")


def _sealing(key: bytes) -> bytes:
    """Derive what seals from what signs: no key has two uses."""
    return hmac.digest(key, b"eventbus seal 1", "sha256")


def _cipher(error: type[EventbusError]) -> Any:
    """Load the cipher when it is needed first, since it takes 10 MB. Raises the error where it is not installed."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
    except ImportError:
        raise error("Credentials are passed on between nodes by a package that is missing: eventbus[redis].") from None
    return AESGCM
