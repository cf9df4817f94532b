"""Whether a bus in this process has come to rest."""

from collections.abc import Sized

import gevent

from eventbus.services.bus import Bus

#: Turns of the loop in which what is ready to run does so.
TURNS = 3


def lanes_are_at_rest(bus: Bus, held: Sized = ()) -> bool:
    """Whether no lane waits for its turn or is read for, and only the ``held`` attempts wait for their answers."""
    for _ in range(TURNS):
        gevent.sleep(0)
    dispatcher = bus.dispatcher
    lanes = dispatcher.lanes.values()
    moving = any(lane.queue_entry.queued or dispatcher.reader.is_reading(lane) for lane in lanes)
    return not moving and dispatcher.busy == len(held)
