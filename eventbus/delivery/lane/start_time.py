"""From when on a subscriber may be attempted: after its backoff, a pause that it asked for, or an operator's. Pure."""

import math

from eventbus.core.model import State
from eventbus.core.records import LaneRecord, Pause
from eventbus.delivery.lane.account import LaneAccount


class StartTime(LaneAccount):
    """What keeps a subscriber from being attempted for some time. Times are seconds on the monotonic clock.

    A pause of an operator is beside whatever the subscriber causes itself, and leaves that as it is.
    """

    def __init__(self, record: LaneRecord) -> None:
        super().__init__(record)
        #: As the subscriber's answers say. Its recent attempts say whether it is failing.
        self.state = State.OK if record.state is State.FAILING else record.state
        self.not_before = -math.inf  #: no attempt starts earlier, whatever the reason
        self.own_wait_ends = -math.inf  # of its backoff, or of the pause that it asked for
        self.pause: Pause | None = None  # an operator's, which may be over by now
        self._pause_ends = -math.inf

    def wait_until(self, moment: float) -> None:
        """Start no attempt before a moment, since the subscriber is down or asked for a pause; -inf ends that."""
        self.own_wait_ends = moment
        self.not_before = max(moment, self._pause_ends)

    def begin_pause(self, pause: Pause, ends: float) -> None:
        """Start no attempt until a moment, or until the pause is ended where that is inf: an operator says so."""
        self.pause, self._pause_ends = pause, ends
        self.not_before = max(self.own_wait_ends, ends)

    def end_pause(self) -> None:
        """End the pause of an operator, if there is one."""
        self.pause, self._pause_ends = None, -math.inf
        self.not_before = self.own_wait_ends

    def pause_at(self, now: float) -> Pause | None:
        """Return the pause of an operator that lasts at a moment."""
        return self.pause if now < self._pause_ends else None

    def asked_for_pause(self, now: float) -> bool:
        """Return whether a pause lasts at a moment that the subscriber asked for."""
        return self.state is State.PAUSED and now < self.own_wait_ends

    def resume(self, now: float) -> bool:
        """End the pause of an operator and the one that the subscriber asked for; return whether there was any."""
        paused = now < self._pause_ends or self.asked_for_pause(now)
        self.end_pause()
        if self.state is State.PAUSED:
            self.wait_until(min(self.own_wait_ends, now))
        return paused

    def end_backoff(self, now: float) -> None:
        """Let a subscriber that is down be attempted at once."""
        if self.state is State.DOWN:
            self.wait_until(min(self.own_wait_ends, now))

    def own_state_at(self, now: float) -> State:
        """Return the state that the subscriber causes itself; a pause that is over is none."""
        return State.OK if self.state is State.PAUSED and now >= self.own_wait_ends else self.state

    def state_at(self, now: float) -> State:
        """Return the state at a moment."""
        return State.PAUSED if now < self._pause_ends else self.own_state_at(now)
