"""Bounds on what a subscriber can make the transport keep or wait for."""

from dataclasses import dataclass

#: Bytes of a response's body that are kept for the last attempt's details.
EXCERPT_BYTES = 1_024
#: Bytes of a response, and of its head; a longer response is invalid.
MAX_RESPONSE_BYTES = 65_536
MAX_HEAD_BYTES = 32_768
#: Bytes of a response to a batch, which may name each event of it.
MAX_BATCH_RESPONSE_BYTES = 262_144
#: Responses of status 1xx before the final one.
MAX_INTERIM_RESPONSES = 8
#: Idle connections kept to one host and port.
MAX_IDLE_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class TransportTiming:
    """Durations of the transport, in seconds."""

    #: A connection takes requests for a time between these two; then its name is resolved again.
    min_connection_age: float = 30.0
    max_connection_age: float = 60.0
    #: Between two searches for connections that are old or closed.
    cleanup_interval: float = 2.0
    #: A registration waits so long for its name to be resolved.
    max_check: float = 2.0
    #: A name that was not found is resolved again after so many times the duration of the failed lookup, ...
    not_found_factor: float = 3.0
    #: ... and at the latest after this.
    max_not_found: float = 30.0


DEFAULT_TIMING = TransportTiming()
