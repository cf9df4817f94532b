"""Dead letters: looked at, put back as pending, or discarded."""

from eventbus.web.openapi.components import (
    AN_ADDRESS,
    AN_ID,
    BUS,
    JSON,
    Json,
    answers,
    bad_request,
    content,
    error,
    gathered,
    needs,
    problem,
    query,
    sample,
    schema,
)
from eventbus.web.openapi.paths_subscribers import address
from eventbus.web.openapi.schemas import A_DEAD_LETTER, A_REPLAY, shape
from eventbus.web.routes.dead_letters import MAX_PAGE, USUAL_PAGE

_WRITES = ("Unauthorized", "Forbidden", "NotOwner", "DiskFull")
_CHOICE = [
    address("One subscriber's.", required=False),
    query("id", "One, by its number.", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, example=1),
    query("all", "All there are.", {"type": "string", "enum": ["true"]}),
]
_NOT_CHOSEN = bad_request(
    "Not exactly one choice, or a malformed one.", "Say which dead letters: address=A, id=ID, or all=true."
)
_NO_SUCH = error("There is no dead letter with this id.", problem(404, "There is no dead letter 1."))


def _counted(description: str, name: str) -> Json:
    """The answer of a change: how many it changed."""
    counted = shape("How many they were.", {name: {"type": "integer", "minimum": 0}})
    return {"description": description, "headers": gathered(), "content": content(JSON, counted, {name: 1})}


_STARTED = content(
    JSON,
    shape(
        "How many they were, and where their outcome is.",
        {
            "replayed": {"type": "integer", "minimum": 0},
            "replay": {"type": ["string", "null"], "description": "The replay's id; null where there were none."},
            "outcome": {"type": ["string", "null"], "description": "The path to ask for its outcome."},
        },
    ),
    {"replayed": 1, "replay": AN_ID, "outcome": f"/deadLetters/replays/{AN_ID}"},
)

LIST: Json = {
    "tags": ["Looking"],
    "operationId": "listDeadLetters",
    "summary": "Read the dead letters",
    "description": "Deliveries that will not be attempted again, with the reason, the oldest first. `next` is where to "
    "go on `after`.",
    "security": needs("admin"),
    "parameters": [
        address("Only this subscriber's.", required=False),
        query("after", "Begin after this number.", {"type": "integer", "minimum": 0, "maximum": 2**62, "default": 0}),
        query(
            "limit",
            "Dead letters in one page, at most.",
            {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": USUAL_PAGE},
        ),
    ],
    "responses": answers(
        {
            "200": {
                "description": "A page.",
                "headers": gathered(),
                "content": content(
                    JSON,
                    shape(
                        "A page of dead letters.",
                        {
                            "dead_letters": {"type": "array", "items": schema("DeadLetter")},
                            "next": {"type": ["integer", "null"], "description": "Null where there is nothing more."},
                        },
                    ),
                    {"dead_letters": [A_DEAD_LETTER], "next": None},
                ),
            },
            "400": bad_request("A malformed parameter.", "limit is a whole number from 1 to 1000, not '0'."),
        },
        *_WRITES,
    ),
    "x-codeSamples": sample(f"curl '{BUS}/deadLetters?address={AN_ADDRESS}'"),
}

DISCARD: Json = {
    "tags": ["Mending"],
    "operationId": "discardDeadLetters",
    "summary": "Discard dead letters",
    "description": "Discards them for good. Give exactly one of `address`, `id` and `all`.",
    "security": needs("admin"),
    "parameters": _CHOICE,
    "responses": answers(
        {"200": _counted("They are discarded.", "discarded"), "400": _NOT_CHOSEN, "404": _NO_SUCH}, *_WRITES
    ),
    "x-codeSamples": sample(f"curl -X DELETE '{BUS}/deadLetters?address={AN_ADDRESS}'"),
}

REPLAY: Json = {
    "tags": ["Mending"],
    "operationId": "replayDeadLetters",
    "summary": "Put dead letters back",
    "description": "Makes them pending again. Give exactly one of `address`, `id` and `all`; of all, only those of "
    "registered subscribers are put back. Their attempts go on counting. By `replay` their outcome can be asked for.",
    "security": needs("admin"),
    "parameters": [
        *_CHOICE,
        query("replay", "An earlier replay, for which these count too.", {"type": "string"}),
    ],
    "responses": answers(
        {
            "200": {"description": "They are pending.", "headers": gathered(), "content": _STARTED},
            "400": _NOT_CHOSEN,
            "404": _NO_SUCH,
        },
        *_WRITES,
        "NotRegistered",
    ),
    "x-codeSamples": sample(f"curl -X POST '{BUS}/deadLetters/replay?address={AN_ADDRESS}'"),
}

OUTCOME: Json = {
    "tags": ["Looking"],
    "operationId": "getReplayOutcome",
    "summary": "Ask what became of a replay of dead letters",
    "description": "So many of them are `delivered`, `dead_again`, `discarded`, or still `pending`. It is "
    "kept in the journal; the newest 1,000 replays are known.",
    "security": needs("admin"),
    "parameters": [{"name": "replay", "in": "path", "required": True, "schema": {"type": "string"}, "example": AN_ID}],
    "responses": answers(
        {
            "200": {"description": "What has become of them.", "content": content(JSON, schema("Replay"), A_REPLAY)},
            "404": error(
                "There is no such replay.", problem(404, "There is no replay 'x'; the newest 1000 are known.")
            ),
        },
        *("Unauthorized", "Forbidden", "Unavailable", "DiskFull"),
    ),
    "x-codeSamples": sample(f"curl {BUS}/deadLetters/replays/{AN_ID}"),
}

PATHS: Json = {
    "/deadLetters": {"get": LIST, "delete": DISCARD},
    "/deadLetters/replay": {"post": REPLAY},
    "/deadLetters/replays/{replay}": {"get": OUTCOME},
}
