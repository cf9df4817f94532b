"""Declared subscribers: registers those that this node's file has, and ends those that no node's file has any more.

On a shared journal only the node that owns a subscription acts. A subscription stays for as long as the file of some
node has it, and its owner's file says on which terms.
"""

import logging
import math
import os
from collections.abc import Callable, Collection, Iterator

import gevent
from gevent.event import Event as Signal

from eventbus.core.declarations import Declaration, Declarations, parse_declarations
from eventbus.core.errors import EventbusError, JournalError, NotOwner
from eventbus.core.model import group_key
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane_registry import targets_of
from eventbus.services.node import Node
from eventbus.services.sweeper import Sweeper
from eventbus.services.watched_file import WatchedFile

log = logging.getLogger(__name__)

#: Seconds until a registration that was refused is tried again.
RETRY_SECONDS = 10.0
REMOVED = "no file declares it any more"


class DeclaredSubscribers:
    """Keeps what is registered as the file says."""

    def __init__(self, node: Node, path: str, register: Callable[[Declaration], Lane], sweeper: Sweeper) -> None:
        self.file = WatchedFile(path, _parsed, "declared subscribers", _count) if path else None
        self.refused: dict[str, str] = {}  #: by key: why a declared subscriber is not registered
        self._node = node
        self._register = register
        self._sweeper = sweeper
        self._timing = node.timing
        self._compared = Signal()  # for the first time
        self._due = -math.inf  # when to compare again
        self._known: dict[str, tuple[Declaration, Lane]] = {}  # what has been registered, on which lane
        self._retry_at: dict[str, float] = {}
        self._missing_since: dict[str, float] = {}  # by name: subscribers here that no node's file has

    def start(self) -> None:
        """Read the file, and keep to it from now on; return when it is registered, or that takes long."""
        self._greenlet = gevent.spawn(self._run)
        if self.file is not None:
            self._compared.wait(self._timing.declared_start_seconds)

    def stop(self) -> None:
        """Register and end nothing more."""
        self._greenlet.kill()

    @property
    def count(self) -> int:
        """Return how many subscribers the file declares."""
        return len(self._wanted() or ())

    @property
    def faults(self) -> int:
        """Return how much is wrong in the file, and how many of its subscribers are not registered."""
        return len(self.refused) + (0 if self.file is None else len(self.file.faults))

    def _run(self) -> None:
        while True:
            try:
                self._reconcile_in_time()
            except JournalError as error:
                log.debug("declared subscribers cannot be compared with the journal: %s", error)
            except Exception:  # the next time it is tried again
                log.exception("unexpected error while declared subscribers were registered")
            self._compared.set()
            gevent.sleep(self._timing.declared_check_seconds)

    def _reconcile_in_time(self) -> None:
        """Check the file, and compare it where it has changed, or some time has passed."""
        before = self._wanted()
        if self.file is not None:
            self.file.check()
        now, read = self._node.clock.monotonic(), self._wanted()
        if now >= self._due or read is not before:
            self._due = now + self._timing.declared_interval_seconds
            self.reconcile()

    def reconcile(self) -> None:
        """Register what is missing or differs, and end what no node's file has any more. Raises JournalError."""
        everywhere = self._node.cluster.declare(self._own_names())
        self._end_others(everywhere)
        wanted = self._wanted() or ()
        for each in wanted:
            self._keep(each)
        keys = {each.key for each in wanted}
        for remembered in (self.refused, self._retry_at, self._known):
            for key in remembered.keys() - keys:
                del remembered[key]

    def _own_names(self) -> set[str]:
        """Return who this node's file declares: as long as it could not be read, those that are here."""
        if self.file is None:
            return set()
        wanted = self._wanted()
        if wanted is None:
            return {name for name, _, _ in self._here()}
        return {name_of(each.key, each.group) for each in wanted}

    def _wanted(self) -> tuple[Declaration, ...] | None:
        """Return what the file declares; None without a file, and as long as it could not be read."""
        content = None if self.file is None else self.file.content
        return None if content is None else content.subscribers

    def _here(self) -> Iterator[tuple[str, Lane, Lane | Member]]:
        """Yield the declared subscribers of this node by name."""
        for lane in list(self._node.dispatcher.lanes.values()):
            for target in targets_of(lane) if lane.ended_at is None else ():
                if target.subscriber.declared:
                    yield _name_on(lane, target.subscriber.key), lane, target

    # The file has it

    def _keep(self, each: Declaration) -> None:
        registry, now = self._node.dispatcher.registry, self._node.clock.monotonic()
        lane, known = registry.groups.get(each.key) or registry.lanes.get(each.key), self._known.get(each.key)
        if known is not None and known[0] == each and known[1] is lane and lane.ended_at is None:
            return
        if lane is not None and self._moves(each, lane):
            return  # it ends where it was first
        if self._retry_at.get(each.key, now) > now or (lane is None and self._is_registered(each)):
            return
        try:
            self._known[each.key] = each, self._register(each)
            self.refused.pop(each.key, None)
        except (JournalError, NotOwner):
            self._known.pop(each.key, None)
        except EventbusError as error:
            self._retry_at[each.key] = now + RETRY_SECONDS
            if self.refused.get(each.key) != str(error):
                self.refused[each.key] = str(error)
                log.warning(
                    "declared subscriber %s is not registered: %s", each.key, error, extra={"address": each.key}
                )

    def _moves(self, each: Declaration, lane: Lane) -> bool:
        """Return whether it is declared still as it was before it came into a group, or left one."""
        target = lane if lane.roster is None else lane.roster.get(each.key)
        declared = target is not None and target.subscriber.declared and lane.ended_at is None
        return declared and _name_on(lane, each.key) != name_of(each.key, each.group)

    def _is_registered(self, each: Declaration) -> bool:
        """Return whether it is registered, as the journal says: then a peer owns it, or acquires it just now."""
        wanted = each.key if each.group is None else group_key(each.group)
        return self._node.cluster.subscription_of(each.key) == wanted

    # No file has it

    def _end_others(self, everywhere: Collection[str]) -> None:
        now = self._node.clock.monotonic()
        missing = [(name, lane, target) for name, lane, target in self._here() if name not in everywhere]
        since = {name: self._missing_since.get(name, now) for name, _, _ in missing}
        self._missing_since = since
        for name, lane, target in missing:
            if since[name] + self._node.cluster.declared_grace_seconds <= now:
                self._end(lane, target)

    def _end(self, lane: Lane, target: Lane | Member) -> None:
        """End a lease that has no end of its own, as if it had not been renewed."""
        if target is lane:
            lane.end_lease(self._node.clock.monotonic())
        lease = self._node.leases.end(target.subscriber.key)
        if lease is not None:
            self._sweeper.expire(lease, REMOVED)


def _parsed(content: bytes) -> Declarations:
    return parse_declarations(content, os.environ)


def _count(found: Declarations) -> int:
    return len(found.subscribers)


def _name_on(lane: Lane, key: str) -> str:
    """Return the name of a subscriber whose lane this is, or its group's."""
    return name_of(key, None if lane.roster is None else lane.subscriber.text)


def name_of(key: str, group: str | None) -> str:
    """Return the name under which nodes share a declared subscriber: a member's has its group."""
    return key if group is None else f"{group_key(group)} {key}"
