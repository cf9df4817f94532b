"""The phases of a lane's life, and which of them may follow which. Pure."""

from enum import Enum


class Phase(Enum):
    """Where a lane is in its life; ``Lifecycle`` has one method for each transition."""

    ACTIVE = "active"  # the subscriber has a lease: attempts start
    PARKED = "parked"  # the lease has ended, the position is kept: takes new events, starts no attempt
    EXPIRED = "expired"  # kept for its dead letters: those that are redelivered wait for the subscriber's return
    LEAVING = "leaving"  # about to be handed over to another node: starts nothing, and may stay after all
    ENDING = "ending"  # the lease has ended for good: what is pending becomes dead letters, part by part
    EMPTIED = "emptied"  # nothing is pending any more: closes as soon as that is saved
    DISCARDING = "discarding"  # what is pending is discarded as soon as that can be saved
    CLOSED = "closed"  # delivers and counts nothing any more


class CloseReason(Enum):
    """Why a lane was closed; each value completes the sentence "closed since ..."."""

    DISCARDED = "its subscriber wants no more, and what was pending is discarded"
    EXPIRED = "its lease has ended, and nothing is pending any more"
    LOST = "another node owns its subscription"
    NOT_SAVED = "its registration could not be saved"


class ImpossibleTransition(RuntimeError):
    """A lane was asked for a transition that its phase does not allow: a mistake of the caller."""


#: Looking a member up is expensive in Python 3.11; these names are for code that runs for each delivery.
ACTIVE, LEAVING, ENDING, CLOSED = Phase.ACTIVE, Phase.LEAVING, Phase.ENDING, Phase.CLOSED
#: Phases in which a renewal is taken.
RENEWABLE = frozenset({Phase.ACTIVE, Phase.PARKED, Phase.EXPIRED, Phase.LEAVING})
#: Phases from which each phase may be entered; a lane that is LEAVING takes these steps without staying.
SOURCES: dict[Phase, frozenset[Phase]] = {
    Phase.ACTIVE: RENEWABLE,
    Phase.PARKED: frozenset({Phase.ACTIVE, Phase.LEAVING}),
    Phase.EXPIRED: frozenset(),  # only read from the journal
    Phase.LEAVING: frozenset({Phase.ACTIVE, Phase.PARKED, Phase.EXPIRED}),
    Phase.ENDING: RENEWABLE,
    Phase.EMPTIED: frozenset({Phase.ENDING}),
    Phase.DISCARDING: frozenset(Phase) - {Phase.DISCARDING, Phase.CLOSED},
    Phase.CLOSED: frozenset(Phase) - {Phase.CLOSED},
}
