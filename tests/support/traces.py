"""What a secret looks like where it was written down: as it is, and in the codes that hide it from nobody."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote


def traces_of(secret: bytes) -> Iterator[bytes]:
    """Yield its forms: raw, in hexadecimal, in a URL, and in Base64 wherever it begins in a longer text."""
    yield from (secret, secret.hex().encode(), quote(secret, safe="").encode())
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret)
        yield encoded[4 if before else 0 : -4]  # what is around it changes the first and the last group


def found_in(texts: Mapping[str, bytes], secrets: Iterable[bytes]) -> list[str]:
    """The names of the texts in which one of these secrets stands."""
    forms = [form for secret in secrets for form in traces_of(secret)]
    return [name for name, text in texts.items() if any(form in text for form in forms)]
