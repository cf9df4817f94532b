"""Where the bus is mounted: behind a proxy that takes a prefix off the path, pages only know their own depth."""

import re
from collections.abc import Mapping
from typing import Any

#: A path prefix as a proxy may tell it, which is believed only where it is nothing but a path.
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,16}\Z")
_LONGEST = 256


def root_of(path: str) -> str:
    """The way from a page to the root, as a relative reference: so links stay below whatever prefix there is."""
    return "../" * (path.count("/") - 1) or "./"


def prefix_of(environ: Mapping[str, Any]) -> str:
    """The prefix that a proxy took off (``X-Forwarded-Prefix``), without a last slash; nothing if it says no path."""
    told = str(environ.get("HTTP_X_FORWARDED_PREFIX", "")).strip().rstrip("/")
    return told if len(told) <= _LONGEST and _PREFIX.match(told) else ""
