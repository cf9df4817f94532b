"""What a browser's request may do: it asks for a name of this bus, and changes something only from a page of this bus.

A program is asked neither: what makes a browser dangerous is that it goes where its user can, for whoever wrote a page.
"""

from collections.abc import Mapping
from typing import Any

from eventbus.core.errors import CrossOrigin, ForeignHost
from eventbus.core.host_names import HostNames, is_name, split_host
from eventbus.web import origins

READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: Whether the bus is alive and ready is told by any name.
_PROBES = frozenset({"/healthz", "/readyz"})
#: Characters of a header that an error repeats.
_SHOWN = 100


def check_browser(environ: Mapping[str, Any], hosts: HostNames | None) -> None:
    """Raise CrossOrigin, or ForeignHost, where a browser may not ask this. Without ``hosts`` it may use any name."""
    if hosts is not None and may_be_browser(environ) and environ["PATH_INFO"] not in _PROBES:
        check_host(environ, hosts)
    if origins.by_browser(environ) and environ["REQUEST_METHOD"] not in READING and not origins.is_ours(environ):
        raise CrossOrigin(origins.refusal(environ))


def may_be_browser(environ: Mapping[str, Any]) -> bool:
    """Whether a browser may have sent the request: by what it sends, and no page can leave out.

    Within its own origin, over plain http, a page's script reads without ``Origin`` and ``Sec-Fetch-…``, and may accept
    anything; ``Accept-Language`` is always there. Node's ``fetch`` sends that, too, but ``Sec-Fetch-Mode`` beside it,
    as no browser does alone. Java's HttpURLConnection accepts HTML.
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
    """Raise ForeignHost where the host that was asked for is none of this bus's.

    ``X-Forwarded-Host`` counts for nothing: a page that has its own name lead here could send it.
    """
    host = environ.get("HTTP_HOST", "")
    if hosts.knows(host):
        return
    name = split_host(host.strip().lower())[0].removesuffix(".")
    wanted = f"EVENTBUS_HOSTS={name}" if is_name(name) and len(name) <= _SHOWN else "EVENTBUS_HOSTS"
    raise ForeignHost(
        f"This bus has no tokens, so a browser may ask for it only by a name that it knows, and {host[:_SHOWN]!r} is "
        f"none. If that is its name, set {wanted} for the bus, or set tokens."
    )
