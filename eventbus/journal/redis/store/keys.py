"""The keys of a journal on Redis. All have one hash tag, so that one server of a cluster has them all."""

PREFIX = "{eventbus}:"

NODES = f"{PREFIX}nodes"  # sorted set: the nodes, by when they count as dead, in ms by the clock of Redis
LEAVING = f"{PREFIX}leaving"  # set: nodes that are about to end, and acquire no more lanes
LOCATIONS = f"{PREFIX}places"  # hash: a node to where its process runs
OWNERS = f"{PREFIX}owner"  # hash: a lane's key to the node that owns it
SEQ = f"{PREFIX}seq"  # the newest event's number
SCANNED = f"{PREFIX}scanned"  # every event up to here is in the lanes' accounts
BYTES = f"{PREFIX}bytes"  # bytes of the events
EVENTS = f"{PREFIX}events"  # stream: the events, by number
IDS = f"{PREFIX}ids"  # hash: an event's id to its number
LANES = f"{PREFIX}lanes"  # hash: a lane's key to its record
OPEN = f"{PREFIX}open"  # set: open lanes
UNCLAIMED = f"{PREFIX}unclaimed"  # set: open lanes without an owner
ENDED = f"{PREFIX}ended"  # sorted set: closed lanes, by when they ended
TOPICS = f"{PREFIX}topics"  # hash: a lane's key to its topics, for lanes that get new events
GROUPS = f"{PREFIX}groups"  # hash: the address of a group's member to the group's lane
MEMBERS = f"{PREFIX}members"  # hash: a group's lane to its members' addresses
WAITING = f"{PREFIX}waiting"  # sorted set: retries of all lanes, by event
DEAD = f"{PREFIX}dead"  # hash: a dead letter's id to its row
DEAD_KNOWN = f"{PREFIX}dead:known"  # hash: a dead delivery to its dead letter's id
DEAD_ID = f"{PREFIX}dead:id"  # the newest dead letter's id
DEAD_IDS = f"{PREFIX}dead:ids"  # sorted set: all dead letters, by id
DEAD_AT = f"{PREFIX}dead:at"  # sorted set: the same by last attempt
DEAD_SEQ = f"{PREFIX}dead:seq"  # sorted set: the same by event
DEAD_GONE = f"{PREFIX}dead:gone"  # sorted set: those detached from their event's body, which are not in DEAD_SEQ
DEAD_TO = f"{PREFIX}dead:to"  # sorted set: those that have to be published yet, by id
DISCARDS = f"{PREFIX}discards"  # sorted set: spans that were discarded, by their ends
DISCARDS_AT = f"{PREFIX}discards:at"  # sorted set: the same by when
KEYS = f"{PREFIX}keys"  # hash: an idempotency key to the ids of its events
KEYS_DUE = f"{PREFIX}keys:due"  # hash: an idempotency key to when its events are due, where they were scheduled
KEYS_CONTENT = f"{PREFIX}keys:content"  # hash: an idempotency key to a digest of its topics and bodies
KEYS_BYTES = f"{PREFIX}keys:bytes"  # bytes of the keys and their ids
KEYS_AT = f"{PREFIX}keys:at"  # sorted set: the same keys by when they were used
REPLAYS = f"{PREFIX}replays"  # sorted set: replays of dead letters, by when
DECLARED = f"{PREFIX}declared"  # sorted set: subscribers that some node's file declares, by until when that counts
REPLAY_COUNTS = ("replayed", "delivered", "dead", "discarded", "filtered")  # of one of these, in its hash
SCHEDULED = f"{PREFIX}scheduled"  # sorted set: scheduled events by when they are due, as NUMBER:ID with 16 digits
SCHEDULED_ROWS = f"{PREFIX}scheduled:rows"  # hash: a scheduled event's id to its row
SCHEDULED_NUMBER = f"{PREFIX}scheduled:number"  # the newest one's number
CANCELLED = f"{PREFIX}cancelled"  # sorted set: ids of events that were cancelled, by when
COPY = f"{PREFIX}copy"  # the mark of an unfinished copy


#: The node that owns this lane, which is no subscription's, is the one that may trim the journal.
RETENTION = ".retention"


def of(node: str) -> str:
    """Set: the lanes that a node owns."""
    return f"{PREFIX}of:{node}"


def last(node: str) -> str:
    """Hash: the number of a node's last commit, and its result."""
    return f"{PREFIX}last:{node}"


def waits(lane: str) -> str:
    """Hash: a lane's retries."""
    return f"{PREFIX}waits:{lane}"


def due(lane: str) -> str:
    """Sorted set: a lane's retries, by due time."""
    return f"{PREFIX}due:{lane}"


def line(lane: str) -> str:
    """Sorted set: a lane's retries, by sequence number."""
    return f"{PREFIX}line:{lane}"


def keyed(lane: str) -> str:
    """Sorted set, by name alone: a lane's retries with an order key, by that and by sequence number."""
    return f"{PREFIX}keyed:{lane}"


def dead_of(lane: str) -> str:
    """Sorted set: a lane's dead letters, by id."""
    return f"{PREFIX}dead:of:{lane}"


def replay(replay_id: str) -> str:
    """Hash: when dead letters were redelivered, how many, and their outcomes."""
    return f"{PREFIX}replay:{replay_id}"


def calls(node: str) -> str:
    """List: the calls of a node."""
    return f"{PREFIX}calls:{node}"


def request(call: str) -> str:
    """String: the request of a call, while its caller waits."""
    return f"{PREFIX}call:{call}"


def answers(node: str) -> str:
    """List: the answers to a node's calls."""
    return f"{PREFIX}answers:{node}"
