"""How long the journal on Redis waits for what. Tests pass shorter times."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RedisTiming:
    """Durations in seconds."""

    #: Until a connection stands.
    connect_seconds: float = 2.0
    #: Until a command is answered, or counts as failed.
    answer_seconds: float = 5.0
    #: Until a read is tried again after Redis did not answer.
    retry_delay_seconds: float = 0.5

    #: Until Redis begins with a commit. Less than its answer is waited for.
    commit_seconds: float = 4.0
    #: For which Redis is asked what became of a commit whose answer was lost, and between two such questions.
    outcome_seconds: float = 5.0
    outcome_interval_seconds: float = 0.2
    #: That a publish waits, once it is safe, until this node has read it back.
    read_back_seconds: float = 1.0

    #: After its last heartbeat that a node counts as dead, and by how much sooner it stops by itself.
    alive_seconds: float = 6.0
    margin_seconds: float = 1.5
    heartbeat_interval_seconds: float = 1.0
    #: Until a heartbeat is sent again on another connection: soon enough, where only one was lost.
    heartbeat_answer_seconds: float = 2.0

    #: Between two checks whether a peer that has not answered a call yet is still the one to call.
    call_check_seconds: float = 2.0


DEFAULT_TIMING = RedisTiming()
