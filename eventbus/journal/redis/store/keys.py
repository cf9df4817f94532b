"""The names of what a journal keeps in Redis. One hash tag in all, so that on a cluster they share one node."""

PREFIX = "{eventbus}:"

NODES = f"{PREFIX}nodes"  # sorted set: the nodes, by when they count as gone, in ms as Redis has the time
LEAVING = f"{PREFIX}leaving"  # set: those of them that are about to end, and get no more lanes
LOCATIONS = f"{PREFIX}places"  # hash: a node to where its process runs
OWNERS = f"{PREFIX}owner"  # hash: a lane's key to the node that has it
SEQ = f"{PREFIX}seq"  # the newest event's number
SCANNED = f"{PREFIX}scanned"  # every event up to here has been offered to the lanes
BYTES = f"{PREFIX}bytes"  # what the events take
EVENTS = f"{PREFIX}events"  # stream: the events, by number
IDS = f"{PREFIX}ids"  # hash: an event's id to its number
LANES = f"{PREFIX}lanes"  # hash: a lane's key to its record
OPEN = f"{PREFIX}open"  # set: lanes to carry on with
UNCLAIMED = f"{PREFIX}unclaimed"  # set: those of them that no node has
ENDED = f"{PREFIX}ended"  # sorted set: lanes that are over, by when
TOPICS = f"{PREFIX}topics"  # hash: a lane's key to the topics that it gets, for those that get new events
WAITING = f"{PREFIX}waiting"  # sorted set: what is deferred, by event
DEAD = f"{PREFIX}dead"  # hash: a dead letter's id to its row
DEAD_KNOWN = f"{PREFIX}dead:known"  # hash: a dead delivery to its dead letter's id
DEAD_ID = f"{PREFIX}dead:id"  # the newest dead letter's id
DEAD_IDS = f"{PREFIX}dead:ids"  # sorted set: all dead letters, by id
DEAD_AT = f"{PREFIX}dead:at"  # sorted set: the same by last attempt
DEAD_SEQ = f"{PREFIX}dead:seq"  # sorted set: the same by event
DEAD_GONE = f"{PREFIX}dead:gone"  # sorted set: those that have given up their bodies, which are not in the one before
DISCARDS = f"{PREFIX}discards"  # sorted set: spans that were discarded, by their ends
DISCARDS_AT = f"{PREFIX}discards:at"  # sorted set: the same by when
KEYS = f"{PREFIX}keys"  # hash: an idempotency key to the ids of its events
KEYS_CONTENT = f"{PREFIX}keys:content"  # hash: an idempotency key to a digest of its topics and bodies
KEYS_BYTES = f"{PREFIX}keys:bytes"  # bytes that they take, and the ids that they stand for
KEYS_AT = f"{PREFIX}keys:at"  # sorted set: the same keys by when they were used
REPLAYS = f"{PREFIX}replays"  # sorted set: replays of dead letters, by when
COPY = f"{PREFIX}copy"  # how far the copy of another journal has come, while it is unfinished


#: Which node has this lane, that is no subscriber's, removes settled events for all.
RETENTION = ".retention"


def of(node: str) -> str:
    """Set: the lanes that a node has."""
    return f"{PREFIX}of:{node}"


def last(node: str) -> str:
    """Hash: the number of a node's last commit, and what that was answered with."""
    return f"{PREFIX}last:{node}"


def waits(lane: str) -> str:
    """Hash: a lane's deferred deliveries."""
    return f"{PREFIX}waits:{lane}"


def due(lane: str) -> str:
    """Sorted set: a lane's deferred deliveries, by due time."""
    return f"{PREFIX}due:{lane}"


def line(lane: str) -> str:
    """Sorted set: a lane's deferred deliveries, by number."""
    return f"{PREFIX}line:{lane}"


def dead_of(lane: str) -> str:
    """Sorted set: a lane's dead letters, by id."""
    return f"{PREFIX}dead:of:{lane}"


def replay(replay_id: str) -> str:
    """Hash: when dead letters were put back together, how many, and how many are settled in which way."""
    return f"{PREFIX}replay:{replay_id}"


def calls(node: str) -> str:
    """List: what other nodes ask of a node."""
    return f"{PREFIX}calls:{node}"


def request(call: str) -> str:
    """What is asked in a call, for as long as its caller waits."""
    return f"{PREFIX}call:{call}"


def answers(node: str) -> str:
    """List: what a node's calls were answered with."""
    return f"{PREFIX}answers:{node}"
