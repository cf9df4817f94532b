"""Dead letters: read, put back into the backlog, or discarded."""

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import AN_ADDRESS, AN_ID, JSON, NODES_HEADER, Json, count, nullable, shape, text
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schemas import A_DEAD_LETTER, A_REPLAY
from eventbus.web.openapi.subscribers import address, group, path
from eventbus.web.routes.dead_letters import DEFAULT_PAGE_LETTERS, MAX_PAGE_LETTERS

_CHOICE = [
    address("One subscriber's.", required=False),
    path(),
    group("One group's."),
    build.query("id", "One, by its number.", count(maximum=10**18 - 1), example=1),
    build.query("all", "All there are.", text(enum=["true"])),
]
_PAGE = shape("A page of dead letters.", {
    "dead_letters": build.items(build.schema("DeadLetter")),
    "next": nullable(build.typed("integer", "Null where there is nothing more.")),
})  # fmt: skip
_STARTED = shape("How many they were, and where their outcome is.", {
    "replayed": count(),
    "expired": count("Left, since their events have expired: each is put back by its `id` alone."),
    "replay": nullable(text("The replay's id; null where there were none.")),
    "outcome": nullable(text("The path to ask for its outcome.")),
})  # fmt: skip

LIST = operation(
    "listDeadLetters", "Read the dead letters",
    "Deliveries that will not be attempted again, with the reason, the oldest first. `next` is where to go on `after`.",
    tag="Reading", scope="view", call=f"'/deadLetters?address={AN_ADDRESS}'",
    parameters=[
        address("Only this subscriber's.", required=False),
        path(),
        group("Only this group's."),
        build.query("after", "Begin after this number.", count(maximum=2**62, default=0)),
        build.query("limit", "Dead letters in one page, at most.",
                    count(minimum=1, maximum=MAX_PAGE_LETTERS, default=DEFAULT_PAGE_LETTERS)),
    ],
    ok=build.answer(
        "A page.", build.content(JSON, _PAGE, {"dead_letters": [A_DEAD_LETTER], "next": None}), NODES_HEADER
    ),
    errors=("WrongLimit", "NotOwner", "DiskFull"),
)  # fmt: skip

DISCARD = operation(
    "discardDeadLetters", "Discard dead letters",
    "Discards them for good. Give exactly one of `address`, `group`, `id` and `all`.",
    tag="Redelivery", scope="admin", call=f"-X DELETE '/deadLetters?address={AN_ADDRESS}'",
    parameters=_CHOICE,
    ok=build.answer(
        "They are discarded.",
        build.content(JSON, shape("How many they were.", {"discarded": count()}), {"discarded": 1}), NODES_HEADER,
    ),
    errors=("WrongChoice", "NoDeadLetter", "NotOwner", "DiskFull"),
)  # fmt: skip

REPLAY = operation(
    "replayDeadLetters", "Put dead letters back",
    "Makes them pending again. Give exactly one of `address`, `group`, `id` and `all`; of all, only those of "
    "registered subscribers are put back. Those with the reason `expired` are put back by `id` alone, and attempted "
    "then. Attempts go on counting. By `replay` their outcome can be asked for.",
    tag="Redelivery", scope="admin", call=f"-X POST '/deadLetters/replay?address={AN_ADDRESS}'",
    parameters=[*_CHOICE, build.query("replay", "An earlier replay, for which these count too.", text())],
    ok=build.answer("They are pending.", build.content(
        JSON, _STARTED, {"replayed": 1, "expired": 0, "replay": AN_ID, "outcome": f"/deadLetters/replays/{AN_ID}"}
    ), NODES_HEADER),
    errors=("WrongChoice", "NoDeadLetter", "NotRegistered", "NotOwner", "DiskFull"),
)  # fmt: skip

OUTCOME = operation(
    "getReplayOutcome", "Ask for the outcome of a replay of dead letters",
    "So many of them are `delivered`, `dead_again`, `discarded`, `filtered`, or still `pending`. It is kept in the "
    "journal; the "
    "newest 1,000 replays are known.",
    tag="Reading", scope="view", call=f"'/deadLetters/replays/{AN_ID}'",
    parameters=[build.parameter("path", "replay", "The replay's id.", text(), required=True, example=AN_ID)],
    ok=build.answer("The outcome so far.", build.content(JSON, build.schema("Replay"), A_REPLAY)),
    errors=("NoReplay", "Unavailable", "DiskFull"),
)  # fmt: skip

PATHS: Json = {
    "/deadLetters": {"get": LIST, "delete": DISCARD},
    "/deadLetters/replay": {"post": REPLAY},
    "/deadLetters/replays/{replay}": {"get": OUTCOME},
}
