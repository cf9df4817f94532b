"""Take credentials out of what a subscriber answers, which the bus keeps and displays. Pure."""

import base64
import binascii
import html
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote

from eventbus.core.credentials import Credentials, secret_text
from eventbus.core.signing import PREFIX

#: What is left of a credential.
REDACTED = b"[redacted]"
#: Characters by which a credential is found: its rest may have been cut off. One of less than the latter is no secret.
FOUND_BY, MIN_LENGTH = 8, 4
#: Credentials that are taken out of one text: one for each event of the largest batch, and more.
MAX_FOUND = 2_000
_NEVER = rb"(?!)"


class Redaction:
    """Takes the credentials of one subscriber out of texts, in each form in which servers repeat them."""

    __slots__ = ("_forms", "_start")

    def __init__(self, credentials: Credentials) -> None:
        self._forms: dict[bytes, set[bytes]] = {}  # by their beginnings
        for form in (form.encode() for text in _texts(credentials) for form in _forms(text)):
            self._forms.setdefault(form[:FOUND_BY], set()).add(form)
        starts = map(re.escape, sorted(self._forms, key=len, reverse=True))
        self._start = re.compile(b"|".join(starts) or _NEVER)

    def of(self, text: bytes) -> bytes:
        """Return a text without the credentials, and without the beginning of one.

        Of a text that repeats them thousands of times the rest is left out, too.
        """
        kept, at = list[bytes](), 0
        while (match := self._start.search(text, at)) is not None:
            found = match.start()
            kept += text[at:found], REDACTED
            if len(kept) > 2 * MAX_FOUND:
                return b"".join(kept)
            at = found + max(_common(text, found, form) for form in self._forms[match[0]])
        return b"".join((*kept, text[at:])) if kept else text

    def of_text(self, text: str) -> str:
        """Return a text for people without the credentials."""
        return self.of(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def of_json(self, body: bytes) -> bytes:
        """Return a body without the credentials. Where it is JSON, escapes hide none either."""
        with suppress(ValueError, RecursionError):
            body = json.dumps(json.loads(body)).encode()
        return self.of(body)


def _texts(credentials: Credentials) -> Iterator[str]:
    """Yield what is secret: of an authorization with a scheme what follows it, of ``Basic`` its password, too."""
    scheme, _, rest = credentials.authorization.partition(" ")
    yield rest.strip() or scheme
    if scheme.lower() == "basic":
        with suppress(binascii.Error, ValueError):
            decoded = base64.b64decode(rest.strip(), validate=True).decode()
            yield from (decoded, decoded.partition(":")[2])
    for secret in credentials.secrets:
        yield from (secret_text(secret.value), secret_text(secret.value).removeprefix(PREFIX))


def _forms(text: str) -> Iterable[str]:
    """Return a secret as it may be written in a text, in JSON, in a URL and in HTML."""
    if len(text) < MIN_LENGTH:
        return ()
    return text, json.dumps(text)[1:-1], quote(text), quote(text, safe=""), html.escape(text)


def _common(text: bytes, at: int, form: bytes) -> int:
    """Return how many bytes a text has in common with the beginning of a form, from a position on."""
    same, differs = 0, len(form) + 1  # a subscriber decides how often this is looked for: it takes few steps
    while differs - same > 1:
        count = (same + differs) // 2
        if text.startswith(form[:count], at):
            same = count
        else:
            differs = count
    return same
