"""How long the cluster waits for what. Tests pass shorter times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterTiming:
    """Durations in seconds."""

    #: That the start waits until the first subscriptions are adopted.
    start_seconds: float = 5.0
    #: Between two comparisons of the lanes in memory with what the journal says that this node owns.
    repair_interval_seconds: float = 5.0
    #: That deliveries in flight may take before a subscription that is to be handed over stays here after all.
    in_flight_seconds: float = 5.0
    #: Between two checks whether deliveries in flight have ended.
    check_interval_seconds: float = 0.05
    #: Until a handover is tried again after the journal could not be written.
    retry_delay_seconds: float = 1.0
    #: That a handover may take when the node stops.
    stop_seconds: float = 2.0
    #: For which a node's file counts after the node has shared it.
    declared_seconds: float = 15.0
    #: For which no node's file has to have a declared subscriber before it ends.
    declared_grace_seconds: float = 30.0


DEFAULT_TIMING = ClusterTiming()
