"""Whether something listens at an address, as seen from here."""

import socket

#: Seconds that a connection may take.
CONNECT_TIMEOUT_SECONDS = 2.0


def connection_error(host: str, port: int) -> str:
    """Why no connection comes about; empty where one does."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS).close()
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be looked up
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ""
