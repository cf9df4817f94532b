"""Whether a request that a browser sends comes from a page of this bus. Pure.

A browser tells where a page is from, and a page cannot change what it tells, nor send a header of its own to another
origin without being let. So the bus's own pages are known by any of these:

- ``Sec-Fetch-Site``, which decides wherever it is sent (Fetch Metadata): over https, and on the machine itself;
- ``Authorization: Bearer``, or ``Eventbus-Page``, which the dashboard sends: a page from elsewhere cannot;
- ``Origin``, where it names the host that was asked for: by ``Host``, or by ``X-Forwarded-Host`` where a proxy set it.
"""

from collections.abc import Mapping
from typing import Any

from eventbus.core.host_names import split_host

_SITE, _ORIGIN = "HTTP_SEC_FETCH_SITE", "HTTP_ORIGIN"
_PORTS = {"http": "80", "https": "443"}
#: Characters of a header that an error repeats.
_SHOWN = 100


def by_browser(environ: Mapping[str, Any]) -> bool:
    """Whether a browser sent the request for a page, or may have."""
    return _ORIGIN in environ or _SITE in environ


def is_ours(environ: Mapping[str, Any]) -> bool:
    """Whether the page that sends it is one of this bus."""
    site = environ.get(_SITE)
    if site is not None:
        return site in ("same-origin", "none")
    if "HTTP_EVENTBUS_PAGE" in environ or environ.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer ":
        return True
    asked = [environ.get("HTTP_HOST", ""), *environ.get("HTTP_X_FORWARDED_HOST", "").split(",")]
    return any(is_at(environ[_ORIGIN], host) for host in asked)


def is_at(origin: str, host: str) -> bool:
    """Whether an origin is at a host, as ``Host`` names one: without a port, at whichever of its ports."""
    scheme, separator, there = origin.strip().lower().partition("://")
    name, port = split_host(there)
    asked_name, asked_port = split_host(host.strip().lower())
    if not separator or not name or name != asked_name:
        return False
    return not asked_port or asked_port == (port or _PORTS.get(scheme))


def refusal(environ: Mapping[str, Any]) -> str:
    """The sentence for a page that is not this bus's, with what helps where it is after all."""
    if _SITE in environ:
        return "A page from elsewhere may not change anything here."
    origin, host = (repr(str(environ.get(name, ""))[:_SHOWN]) for name in (_ORIGIN, "HTTP_HOST"))
    return (
        f"A page from elsewhere may not change anything here: its Origin is {origin}, and the Host that was asked for "
        f"is {host}. Where a proxy has changed that, let it pass it on: in nginx, proxy_set_header Host $http_host."
    )
