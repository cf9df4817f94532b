"""Checks requests of browsers: the host name must be one of this bus, and changes must come from its own pages.

Other clients are not checked: only a browser sends requests, with its user's access, for whoever wrote a page.
"""

from collections.abc import Mapping
from typing import Any

from eventbus.core.errors import CrossOrigin, ForeignHost
from eventbus.core.host_names import HostNames, is_name, split_host
from eventbus.web import origins

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Health checks are answered under any host name.
_PROBES = frozenset({"/healthz", "/readyz"})
#: Characters of a header that an error message repeats.
_MAX_REPEATED = 100


def check_browser(environ: Mapping[str, Any], hosts: HostNames | None) -> None:
    """Raise CrossOrigin or ForeignHost for a forbidden request of a browser. Without ``hosts`` any name is allowed."""
    if hosts is not None and may_be_browser(environ) and environ["PATH_INFO"] not in _PROBES:
        check_host(environ, hosts)
    if origins.by_browser(environ) and environ["REQUEST_METHOD"] not in SAFE_METHODS and not origins.is_ours(environ):
        raise CrossOrigin(origins.refusal(environ))


def may_be_browser(environ: Mapping[str, Any]) -> bool:
    """Return whether a browser may have sent the request, by headers that a page cannot leave out.

    Over plain http, a script's request to its own origin has neither ``Origin`` nor ``Sec-Fetch-…``, and any
    ``Accept``, but always ``Accept-Language``. Node's ``fetch`` sends that, too, but with
    ``Sec-Fetch-Mode`` only, as no browser does. Java's HttpURLConnection accepts HTML.
    """
    if origins.by_browser(environ) or "HTTP_SEC_FETCH_DEST" in environ or "HTTP_SEC_FETCH_USER" in environ:
        return True
    if "HTTP_ACCEPT_LANGUAGE" in environ and "HTTP_SEC_FETCH_MODE" not in environ:
        return True
    accept: str = environ.get("HTTP_ACCEPT", "")
    if accept in ("", "*/*"):
        return False
    return "text/html" in accept.lower() and environ.get("HTTP_USER_AGENT", "")[:5] != "Java/"


def check_host(environ: Mapping[str, Any], hosts: HostNames) -> None:
    """Raise ForeignHost if the ``Host`` is not one of this bus.

    ``X-Forwarded-Host`` is ignored: a page whose own name resolves to the bus could send it.
    """
    host = environ.get("HTTP_HOST", "")
    if hosts.knows(host):
        return
    name = split_host(host.strip().lower())[0].removesuffix(".")
    setting = f"EVENTBUS_HOSTS={name}" if is_name(name) and len(name) <= _MAX_REPEATED else "EVENTBUS_HOSTS"
    raise ForeignHost(
        f"This bus has no tokens, so browsers may use it only by a known host name, and {host[:_MAX_REPEATED]!r} is "
        f"unknown. If that is its name, set {setting} for the bus, or set tokens."
    )
