"""Checks whether a browser's request comes from a page of this bus. Pure.

A browser sends the origin of a page in headers that the page cannot change, and a page cannot send custom headers to
another origin without a preflight. So the bus's own pages are recognized by any of these:

- ``Sec-Fetch-Site`` (Fetch Metadata), which decides if it is sent: over https, and on localhost;
- ``Authorization: Bearer``, or ``Eventbus-Page``, which the dashboard sends and a page of another origin cannot send;
- ``Origin``, if it names the requested host: that of ``Host``, or of a proxy's ``X-Forwarded-Host``.
"""

from collections.abc import Mapping
from typing import Any

from eventbus.core.host_names import split_host

_SITE, _ORIGIN = "HTTP_SEC_FETCH_SITE", "HTTP_ORIGIN"
_PORTS = {"http": "80", "https": "443"}
#: Characters of a header that an error message repeats.
_MAX_REPEATED = 100


def by_browser(environ: Mapping[str, Any]) -> bool:
    """Return whether a browser sent the request for a page, or may have."""
    return _ORIGIN in environ or _SITE in environ


def is_ours(environ: Mapping[str, Any]) -> bool:
    """Return whether the request comes from a page of this bus."""
    site = environ.get(_SITE)
    if site is not None:
        return site in ("same-origin", "none")
    if "HTTP_EVENTBUS_PAGE" in environ or environ.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer ":
        return True
    asked = [environ.get("HTTP_HOST", ""), *environ.get("HTTP_X_FORWARDED_HOST", "").split(",")]
    return any(is_at(environ[_ORIGIN], host) for host in asked)


def is_at(origin: str, host: str) -> bool:
    """Return whether an origin has this host, written as in ``Host``; without a port, any port matches."""
    scheme, separator, there = origin.strip().lower().partition("://")
    name, port = split_host(there)
    asked_name, asked_port = split_host(host.strip().lower())
    if not separator or not name or name != asked_name:
        return False
    return not asked_port or asked_port == (port or _PORTS.get(scheme))


def refusal(environ: Mapping[str, Any]) -> str:
    """Return the error text for a page of another origin, with a hint for a misconfigured proxy."""
    if _SITE in environ:
        return "A page from elsewhere may not change anything here."
    origin, host = (repr(str(environ.get(name, ""))[:_MAX_REPEATED]) for name in (_ORIGIN, "HTTP_HOST"))
    return (
        f"A page from elsewhere may not change anything here: its Origin is {origin}, and the Host that was asked for "
        f"is {host}. If a proxy changes the Host, configure it to keep it: in nginx, proxy_set_header Host $http_host."
    )
