"""Links behind a proxy that strips a path prefix: pages only know their own depth, so links are relative."""

import re
from collections.abc import Mapping
from typing import Any

#: A path prefix as a proxy may send it; anything but a plain path is ignored.
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*){1,16}\Z")
_MAX_CHARACTERS = 256


def root_of(path: str) -> str:
    """Return the relative reference from a page to the root, so that links stay below any prefix."""
    return "../" * (path.count("/") - 1) or "./"


def prefix_of(environ: Mapping[str, Any]) -> str:
    """Return the prefix that a proxy stripped (``X-Forwarded-Prefix``), without a last slash; empty if invalid."""
    prefix = str(environ.get("HTTP_X_FORWARDED_PREFIX", "")).strip().rstrip("/")
    return prefix if len(prefix) <= _MAX_CHARACTERS and _PREFIX.match(prefix) else ""
