"""Reading the newest attempts."""

from eventbus.web.attempt_payload import CURSOR_REGEX
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.attempt_shapes import AN_ATTEMPT
from eventbus.web.openapi.builder import AN_ADDRESS, AN_ID, JSON, NODES_HEADER, Json, count, nullable, text
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.subscribers import address, group, path
from eventbus.web.routes.attempts import DEFAULT_PAGE_ATTEMPTS, MAX_PAGE_ATTEMPTS

_PAGE = build.shape("A page of attempts.", {
    "attempts": build.items(build.schema("Attempt")),
    "next": nullable(text("Where to go on `after`; null where nothing older is known.")),
})  # fmt: skip

LIST = operation(
    "listAttempts", "Read the newest attempts",
    "The attempts that ended last, the newest first: each node keeps its newest 100,000 in memory, since its start. "
    "All that is given has to hold.",
    tag="Reading", scope="view", call=f"'/attempts?address={AN_ADDRESS}&status=failed'",
    parameters=[
        address("Only those at this address, which may be a member's.", required=False),
        path(),
        group("Only those for this group."),
        build.query("id", "Only those for the event with this id.", text(), example=AN_ID),
        build.query("status", "Only those with this status, such as `503` or `5xx`; `none` is no response. Or those "
                    "that `delivered` or `failed`.", text(pattern="^([1-5][0-9]{2}|[1-5]xx|none|delivered|failed)$"),
                    example="failed"),
        build.query("after", "What `next` said; empty for the first page.", text(pattern=f"^(?:{CURSOR_REGEX})?$")),
        build.query("limit", "Attempts in one page, at most.",
                    count(minimum=1, maximum=MAX_PAGE_ATTEMPTS, default=DEFAULT_PAGE_ATTEMPTS)),
    ],
    ok=build.answer("A page.", build.content(JSON, _PAGE, {"attempts": [AN_ATTEMPT], "next": None}), NODES_HEADER),
    errors=("WrongLimit",),
)  # fmt: skip

PATHS: Json = {"/attempts": {"get": LIST}}
