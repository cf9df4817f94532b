"""Connect to an address, to see whether anything listens there."""

import socket

#: Seconds in which a connection has to be made.
CONNECT_TIMEOUT_SECONDS = 2.0


def connection_error(host: str, port: int) -> str:
    """Return why no connection can be made; empty where one can."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be looked up
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""
