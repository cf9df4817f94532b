"""How often the services work, and how much in one step. Tests pass other values."""

from dataclasses import dataclass

from eventbus.delivery.lane.limits import DEFAULT_LIMITS, LaneLimits


@dataclass(frozen=True, slots=True)
class ServiceTiming:
    """Intervals in seconds, and sizes of one step."""

    #: Between two runs of the retention, at least.
    retention_interval_seconds: float = 1.0
    #: Events that the retention reads in one step.
    retention_page_events: int = 1_000
    #: Events or dead letters that change in one commit.
    commit_rows: int = 1_000
    #: Events that are counted for a replay in one step.
    replay_page_events: int = 2_000
    #: That a publish waits for settled events to be removed, before it is refused.
    room_seconds: float = 3.0
    #: Between two samples of the time series, at least.
    sample_interval_seconds: float = 1.0
    #: Between two reads of the expired subscribers, at least.
    expired_interval_seconds: float = 1.0
    #: That the start waits until declared subscribers are registered.
    declared_start_seconds: float = 5.0
    #: Between two checks of the file of declared subscribers.
    declared_check_seconds: float = 1.0
    #: Between two comparisons of what it declares with what is registered.
    declared_interval_seconds: float = 5.0
    #: Between two checks of the file of named tokens.
    tokens_check_seconds: float = 1.0
    #: Until the end of a lane is tried again after the journal could not be written, or attempts were in flight.
    retry_delay_seconds: float = 0.25
    #: Between two searches for dead letters that are to be published again, and how many are published at once.
    dead_events_interval_seconds: float = 0.5
    dead_events_page: int = 32
    #: That is waited for the next scheduled event at most, between two reads of how many there are, and after an error.
    schedule_wait_seconds: float = 1.0
    #: Between two looks at the journal, or at other nodes, for one publish that waits for its event to be settled.
    settle_look_seconds: float = 0.2
    #: Between two looks at whether a publisher that waits is still there.
    settle_check_seconds: float = 1.0
    #: What each lane may hold in memory, and what is read for it at once.
    lanes: LaneLimits = DEFAULT_LIMITS


DEFAULT_TIMING = ServiceTiming()
