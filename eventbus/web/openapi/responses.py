"""Errors, and the responses that several routes share."""

from eventbus.core.errors import KeyReused
from eventbus.core.model import already_registered, group_key, not_registered
from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.delivery.lane.ranges import MAX_SKIPPED
from eventbus.services.settling import MAX_WAITING, too_many_waiting
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import AN_ADDRESS, PROBLEM, RETRY_AFTER, TEXT, Json, answer, content, problem, schema

_CHALLENGE = {"WWW-Authenticate": build.response_header("What is needed (RFC 6750, section 3).", build.text())}
_MAY_CHALLENGE = {"WWW-Authenticate": {**_CHALLENGE["WWW-Authenticate"], "required": False}}

_FORBIDDEN = (
    "The token is known, and may do other things. Or a browser says, by `Origin` or `Sec-Fetch-Site`, that a page from "
    "elsewhere wants to change something; then nothing is asked for, and the sentence says what a proxy that changes "
    "`Host` has to pass on. Or, without tokens, a browser asks by a name that is not in `EVENTBUS_HOSTS`."
)
_UNAVAILABLE = (
    "The bus is stopping, or the journal cannot be used just now. Nothing of this was kept, unless the sentence says "
    "that this is not known, as it can be of a journal on Redis."
)
_NOT_OWNER = (
    "The bus is stopping, or the journal cannot be used just now; nothing of this was kept. Or, in a cluster, the "
    "subscriber goes from one node to another just now, and nothing was done; or the node that has it does not answer, "
    "and may have done this or not."
)
#: Responses before the route is known, and what each means: text, and the end of the connection.
_BEFORE_ANY_ROUTE = {
    "NoHttp": "The request is not valid HTTP.",
    "TooSlow": "The request's head did not arrive within `EVENTBUS_REQUEST_SECONDS`.",
    "LineTooLong": "The request line is too long.",
    "Expectation": "`Expect` is not `100-continue`.",
    "HeadTooLong": "The headers are too long or too many.",
}
#: Errors of routes: status, meaning, an example of the sentence, and headers.
_ERRORS: dict[str, tuple[int, str, str, Json]] = {
    "InternalError": (
        500, "An internal error; the server log says more.", "Internal error; see the server log.", {}),
    "Unauthorized": (
        401, "Tokens are set, and the request has none, or an unknown one.",
        "A token is required: send Authorization: Bearer TOKEN.", _CHALLENGE),
    "Forbidden": (403, _FORBIDDEN, "This token may not publish.", _MAY_CHALLENGE),
    "WrongAddress": (
        400, "The address is missing, cannot be or may not be delivered to, or a parameter is malformed.",
        "Wrong input address. The port must be a number from 1 to 65535, not '80a'.", {}),
    "WrongQuery": (400, "The query does not parse.", 'invalid URL escape "%zz"', {}),
    "WrongLimit": (400, "A malformed parameter.", "limit must be a whole number from 1 to 1000, not '0'.", {}),
    "NoId": (400, "The event's id is missing, or the query is malformed.", "id is required: the event's.", {}),
    "WrongChoice": (
        400, "Not exactly one choice, or a malformed one.",
        "Select dead letters by exactly one of address=A, group=G, id=ID or all=true.", {}),
    "WrongPosition": (
        400, "A malformed address, position or query.",
        "from is required: earliest, an event's id, or a time such as 2026-11-24T06:03:29Z.", {}),
    "WrongEvent": (
        400, "A malformed parameter, header, CloudEvent or batch: which one, and why.",
        "The event has no source; it must be a non-empty string.", {}),
    "NoPosition": (
        404, "The event that is given as a position is not in the journal.",
        "'order-42' is neither an event in the journal nor an RFC 3339 time.", {}),
    "NoEvent": (404, "There is no event with this id.", "Event 'order-42' is not in the journal.", {}),
    "NotScheduled": (
        404, "There is no scheduled event with this id, and no other one.",
        "Event 'order-42' is not scheduled, and not in the journal.", {}),
    "InJournal": (
        409, "The event has entered the journal, and is delivered.",
        "Event 'order-42' is in the journal and cannot be cancelled.", {}),
    "NotPending": (
        404, "The event is not in the journal, or not pending for this subscriber.",
        f"Event 'order-42' is not pending for {AN_ADDRESS}.", {}),
    "NoDeadLetter": (404, "There is no dead letter with this id.", "There is no dead letter 1.", {}),
    "NoReplay": (404, "There is no such replay.", "There is no replay 'x'; the newest 1000 are known.", {}),
    "BodyTooSlow": (
        408, "The request did not come within `EVENTBUS_REQUEST_SECONDS`.",
        "The body did not arrive within 30 seconds.", {}),
    "NotRegistered": (
        409, "The subscriber is not registered, so that nothing can be delivered to it.",
        str(not_registered(AN_ADDRESS)), {}),
    "OtherGroup": (
        409, "The address is registered in another group, or without one. `400` in plain text.",
        str(already_registered(AN_ADDRESS, group_key("mailer"))), {}),
    "TooLarge": (
        413, "An event over `EVENTBUS_MAX_BODY_BYTES`, or a batch over its limits.",
        "The body may have at most 1048576 bytes.", {}),
    "KeyReused": (
        422, "The `Idempotency-Key` was used for another topic, order key, expiry or body. `400` in plain text.",
        str(KeyReused()), {}),
    "TooManySubscribers": (
        429, "There are as many subscribers as are allowed, or as many replays or changes of topics in progress.",
        "There are 20000 subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS).", RETRY_AFTER),
    "TooManyReplays": (
        429, "As many replays as are allowed are in progress for this subscriber.",
        f"This subscriber has {MAX_SPANS} replays in progress; wait until one has ended.", RETRY_AFTER),
    "TooManyWaiting": (
        429, "As many publishes as are allowed wait for their events to be settled. Nothing of this was kept.",
        str(too_many_waiting(MAX_WAITING, 250)), RETRY_AFTER),
    "TooManySkipped": (
        429, "As many events as are allowed were skipped for this subscriber while others before them still wait.",
        f"{MAX_SKIPPED} events were skipped behind others that still wait; those come first.", RETRY_AFTER),
    "NoBackup": (
        409, "The journal is on Redis or in memory.",
        "This journal is in memory, and ends with its process: there is nothing to back up.", {}),
    "BackupInProgress": (
        429, "Another backup is made or sent.", "A backup is in progress; there is one at a time.", RETRY_AFTER),
    "NoRoom": (
        507, "The disk that holds the journal has no room for a copy of it. The journal is as it was.",
        "There is no room left on the journal's disk for the rest of the copy.", {}),
    "Unavailable": (503, _UNAVAILABLE, "The bus is stopping; publish again in a few seconds.", RETRY_AFTER),
    "NotOwner": (
        503, _NOT_OWNER, "The ownership of this subscriber is moving to another node; try again.", RETRY_AFTER),
    "DiskFull": (
        507, "The disk that holds the journal is full. Nothing of this was kept.",
        "The disk that holds the journal is full; nothing of this was kept.", RETRY_AFTER),
}  # fmt: skip
#: The status of each error.
STATUS = {name: f"{status}" for name, (status, *_) in _ERRORS.items()}


def _error(status: int, meaning: str, sentence: str, headers: Json) -> Json:
    """Build an error in both of its forms: a sentence as text, and problem details for a client that asks for JSON."""
    bodies = content(PROBLEM, schema("Problem"), problem(status, sentence)) | content(TEXT, schema("Error"))
    return answer(meaning, bodies, headers)


RESPONSES: Json = {
    **{name: answer(meaning, content(TEXT, schema("Error"))) for name, meaning in _BEFORE_ANY_ROUTE.items()},
    **{name: _error(*described) for name, described in _ERRORS.items()},
}
