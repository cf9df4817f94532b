"""What the bus itself may be short of, which says nothing about a subscriber."""

import errno
import resource
import ssl

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.dialer import NotAllowed
from eventbus.delivery.transport.tls import tls_error_text

#: No files, no ports, no memory, no thread for a lookup.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EBUSY})
#: Connections to subscribers, idle ones included, whatever the limit on files.
MOST = 16_384


def most_connections() -> int:
    """How many connections may be open: half of the files that the process may have, so that clients find some too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, max(8, soft // 2))


def unmade_attempt(error: OSError) -> DeliveryResponse:
    """What an attempt comes to that failed with this."""
    if isinstance(error, NotAllowed):
        return DeliveryResponse(None, error=f"not allowed: {error}")
    if error.errno in SHORTAGES and not isinstance(error, ssl.SSLError):
        return DeliveryResponse(None, error=f"the bus is short of something: {error.strerror}", made=False)
    if isinstance(error, ssl.SSLError):
        return DeliveryResponse(None, error=tls_error_text(error))
    return DeliveryResponse(None, error=f"connection failed: {error.strerror or error}")
