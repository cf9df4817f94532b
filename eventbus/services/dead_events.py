"""Publishes dead letters again under the topics that their subscriptions name (``dead_to``).

That a dead letter has to be published is saved with it, and that it has been is saved with the new event, in one
commit: so each is published once, whatever happens in between, while it is a dead letter and has its body.
"""

import logging
from collections.abc import Mapping, Sequence

import gevent

from eventbus.core.dead_events import dead_message
from eventbus.core.errors import JournalError, NotOwner
from eventbus.core.event_ids import new_event_id
from eventbus.core.headers import is_dead_event
from eventbus.core.model import Event, Message
from eventbus.journal.base import KeptDeadLetter
from eventbus.services.journal_room import JournalRoom, room_for
from eventbus.services.node import Node
from eventbus.telemetry.failure_log import FailureLog

#: Bytes of bodies that are published in one commit, about.
PART_BYTES = 1_048_576

log = logging.getLogger(__name__)


class DeadEvents:
    """A greenlet that publishes what is to be published, some at a time; in a cluster one node does."""

    def __init__(self, node: Node, room: JournalRoom) -> None:
        self._journal = node.journal
        self._cluster = node.cluster
        self._clock = node.clock
        self._load = node.dispatcher.load
        self._room = room
        self._timing = node.timing
        self._failures = FailureLog(
            log,
            "dead letters are not published under their topics yet",
            "dead letters are published under their topics again",
        )

    def start(self) -> None:
        """Begin to publish."""
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Publish nothing more; the next start goes on."""
        self._greenlet.kill()

    def _run(self) -> None:
        while True:
            with self._failures.logged(NotOwner, JournalError):
                while self.publish_next():
                    self._load.give_way()
            gevent.sleep(self._timing.dead_events_interval_seconds)

    def publish_next(self) -> bool:
        """Publish the next dead letters; return whether there were any. Raises JournalError and NotOwner."""
        letters = self._journal.unpublished_letters(self._timing.dead_events_page)
        if not letters or not self._cluster.try_acquire_trimmer():
            return False
        events = {event.seq: event for event in self._journal.find([kept.letter.seq for kept in letters])}
        letters = _first_of(letters, events)
        messages = self._messages_of(letters, events)
        self._room.reserve_spare(room_for(messages))
        self._journal.append(messages, letters=[kept.id for kept in letters])
        return True

    def _messages_of(self, letters: Sequence[KeptDeadLetter], events: Mapping[int, Event]) -> list[Message]:
        """Return what is published for them: nothing for an event that was published for a dead letter itself."""
        wall = self._clock.wall()
        return [
            dead_message(event, kept.letter.dead_to, kept.letter.reason, kept.letter.key, new_event_id(), wall)
            for kept in letters
            if (event := events.get(kept.letter.seq)) is not None and not is_dead_event(event.head)
        ]


def _first_of(letters: list[KeptDeadLetter], events: Mapping[int, Event]) -> list[KeptDeadLetter]:
    """Return the first letters, of which all but the last have less than ``PART_BYTES`` in their events' bodies."""
    size = 0
    for count, kept in enumerate(letters, 1):
        event = events.get(kept.letter.seq)
        size += 0 if event is None else len(event.body)
        if size >= PART_BYTES:
            return letters[:count]
    return letters
