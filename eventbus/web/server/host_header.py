"""What may stand in a ``Host`` header. Pure."""

import re
from functools import lru_cache

#: RFC 9110, 7.2 and RFC 3986, 3.2.2: a host with an optional port, or nothing. A comma would be two joined headers.
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%_~!$&'()*+;=-]+\]|(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?\Z")


@lru_cache(64)
def is_host(text: str) -> bool:
    """Return whether a text may be the value of a ``Host`` header."""
    return _HOST.match(text) is not None
