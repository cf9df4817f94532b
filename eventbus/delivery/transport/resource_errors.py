"""Tells failures of the bus's own resources from failures of a subscriber."""

import errno
import resource
import ssl

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.dialer import NotAllowed
from eventbus.delivery.transport.tls import tls_error_text

#: The bus has no free file, port, memory or lookup thread.
RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EBUSY})
#: Connections to subscribers, including idle ones, however many files the process may open.
MAX_CONNECTIONS = 16_384


def max_connections() -> int:
    """Return how many connections may be open: half of the process's file limit, to leave files for clients."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, max(8, soft // 2))


def failed_response(error: OSError) -> DeliveryResponse:
    """Return the response that stands for an attempt that failed with this error."""
    if isinstance(error, NotAllowed):
        return DeliveryResponse(None, error=f"not allowed: {error}")
    if error.errno in RESOURCE_ERRNOS and not isinstance(error, ssl.SSLError):
        return DeliveryResponse(None, error=f"the bus is out of resources: {error.strerror}", made=False)
    if isinstance(error, ssl.SSLError):
        return DeliveryResponse(None, error=tls_error_text(error))
    return DeliveryResponse(None, error=f"connection failed: {error.strerror or error}")
