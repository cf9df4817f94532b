"""Whether a client has closed its connection while its request is being answered, and nothing is read from it."""

import select
from typing import Any

from gevent.monkey import get_original

#: Asked for, where the system has it (Linux): the client has closed its side, whatever it has sent before.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def peer_has_closed(fileno: int) -> bool:
    """Return whether the other side of a connected socket has closed it, or its half of it. Does not wait.

    Any thread may ask. Where this side has closed it (``fileno`` is below 0), it has ended as well.
    """
    if fileno < 0:
        return True
    poll: Any = get_original("select", "poll")()
    poll.register(fileno, _CLOSED)
    return any(found & _CLOSED for _, found in poll.poll(0))
