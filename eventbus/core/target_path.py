"""Target paths: the path and query that deliveries to an address are POSTed to, instead of ``/event``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from eventbus.core.errors import BadRequest
from eventbus.core.option_kinds import QUOTED_CHARACTERS, Text
from eventbus.core.override import override

#: Bytes of a target path, its query included.
MAX_TARGET_BYTES = 1_024
#: What stands between an address and its target path in a key, and in texts for people; no address has a ``?``.
PATH_MARK = "?path="
_CHARACTER = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})"
_NO_DOT_SEGMENTS = r"(?![^?]*/(?:\.|%2[eE]){1,2}(?:[/?]|$))"
#: The origin form of a request's target (RFC 9112, 3.2.1), whose path has no dot segments.
TARGET_REGEX = rf"{_NO_DOT_SEGMENTS}/{_CHARACTER}*(?:\?(?:{_CHARACTER}|\?)*)?"
_WRONG = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")


def with_path(address: str, path: str | None) -> str:
    """Return an address with its target path, if it has one: ``A?path=P``."""
    return f"{address}{PATH_MARK}{path}" if path else address


def split_path(text: str) -> tuple[str, str]:
    """Return the address and the target path in ``A?path=P``; the path is empty without one."""
    address, _, path = text.partition(PATH_MARK)
    return address, path


@dataclass(frozen=True)
class TargetPath(Text):
    """A path from its first ``/`` on, with a query or without one, as it stands in a request line."""

    def __init__(self) -> None:
        form = f"a path that begins with `/`, of at most {MAX_TARGET_BYTES} bytes with its query"
        super().__init__(TARGET_REGEX, form, MAX_TARGET_BYTES)

    @override
    def parse(self, parameter: str, texts: Sequence[str]) -> Any:
        """Return the path that a query gives. Raises BadRequest with what is wrong in it."""
        text = texts[0]
        if self.value_of(text) is None:
            raise BadRequest(f"{parameter} {_fault(text)}, in {text[:QUOTED_CHARACTERS]!r}.")
        return text


def _fault(text: str) -> str:
    """Return what is wrong in a text that is no target path."""
    if not text.startswith("/"):
        return "must begin with /"
    if len(text) > MAX_TARGET_BYTES:
        return f"must have at most {MAX_TARGET_BYTES} bytes, not {len(text)}"
    if "#" in text:
        return "must not contain a fragment"
    wrong = _WRONG.search(text)
    if wrong is None:
        return "must not contain . or .. segments"
    if wrong[0] == "%":
        return "must not contain a % without two hexadecimal digits"
    escape = quote(wrong[0], safe="", errors="replace")
    return f"must not contain {wrong[0]!r}: escape it as {escape}, which is {quote(escape)} in a query"
