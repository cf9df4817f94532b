"""``/deadLetters``: list, redeliver or discard dead letters."""

import re
from typing import Any

from flask import Blueprint, request

from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadRequest
from eventbus.core.event_ids import new_event_id
from eventbus.core.tokens import Scope
from eventbus.journal.base import KeptDeadLetter, Redelivery
from eventbus.services.audit import Changed
from eventbus.services.dead_letters import Chosen
from eventbus.web.access import needs
from eventbus.web.audit import log_change
from eventbus.web.body_text import body_payload
from eventbus.web.cluster.rpc_codec import REQUEST
from eventbus.web.current import the_bus
from eventbus.web.numbers import count_in
from eventbus.web.pages import fitting, json_bytes
from eventbus.web.query import Query, query_of
from eventbus.web.replies import JSON, Reply, as_json
from eventbus.web.subscriptions import group_of, is_named_in, named_in, path_of, text_of

#: Dead letters on one page: at most, and by default.
MAX_PAGE_LETTERS, DEFAULT_PAGE_LETTERS = 1_000, 100

blueprint = Blueprint("dead_letters", __name__)


@blueprint.get("/deadLetters")
@needs(Scope.VIEW)
def list_dead_letters() -> Reply:
    """Return a page of dead letters, oldest first; ``next`` leads to the next page."""
    query = query_of(request.environ)
    after = count_in(query, "after", 0, 0, 2**62)
    limit = count_in(query, "limit", DEFAULT_PAGE_LETTERS, 1, MAX_PAGE_LETTERS)
    bus = the_bus()
    letters = bus.dead_letters.page(_key(query), after, limit)
    parts = fitting(map(dead_letter_payload, letters), bus.give_way)
    more = letters[len(parts) - 1].id if len(parts) == limit or len(parts) < len(letters) else None
    return Reply(b'{"dead_letters":[%s],"next":%s}\n' % (b",".join(parts), json_bytes(more)), content_type=JSON)


@blueprint.post("/deadLetters/replay")
@needs(Scope.ADMIN)
def replay_dead_letters() -> Reply:
    """Redeliver dead letters; the response has the id by which their outcome can be requested."""
    query, letters = query_of(request.environ), the_bus().dead_letters
    earlier = query.first("replay")
    if earlier is not None:
        letters.outcome(earlier)
    replay = earlier or request.environ.get(REQUEST) or new_event_id()
    chosen = _chosen(query)
    found = letters.replay(chosen, replay)
    count = found.replayed
    if count:
        log_change(Changed.REPLAYED, _target(chosen), count)
    known = replay if count or earlier else None
    outcome = None if known is None else f"/deadLetters/replays/{known}"
    return as_json({"replayed": count, "expired": found.expired, "replay": known, "outcome": outcome})


@blueprint.get("/deadLetters/replays/<replay>")
@needs(Scope.VIEW)
def replay_outcome(replay: str) -> Reply:
    """Return the outcome of dead letters that were redelivered together."""
    return as_json(redelivery_payload(the_bus().dead_letters.outcome(replay)))


@blueprint.delete("/deadLetters")
@needs(Scope.ADMIN)
def discard_dead_letters() -> Reply:
    """Discard dead letters."""
    chosen = _chosen(query_of(request.environ))
    count = the_bus().dead_letters.discard(chosen)
    if count:
        log_change(Changed.DISCARDED, _target(chosen), count)
    return as_json({"discarded": count})


def _chosen(query: Query) -> Chosen:
    """Return the selected dead letters. All of them need ``all=true``, so that an omission never selects all."""
    key, letter_id, everything = _key(query), query.first("id"), query.first("all")
    if sum(given is not None for given in (key, letter_id, everything)) != 1:
        raise BadRequest("Select dead letters by exactly one of address=A, group=G, id=ID or all=true.")
    if everything not in (None, "true"):
        raise BadRequest("all must be true or left out.")
    if letter_id is not None and not re.fullmatch("[0-9]{1,18}", letter_id):
        raise BadRequest("id must be the number of a dead letter.")
    return Chosen(key, None if letter_id is None else int(letter_id))


def _target(chosen: Chosen) -> str:
    """Return the selection as a text for the log."""
    return chosen.key or ("all" if chosen.id is None else f"dead letter {chosen.id}")


def _key(query: Query) -> str | None:
    return named_in(query, the_bus()).key if is_named_in(query) else None


def dead_letter_payload(kept: KeptDeadLetter) -> dict[str, Any]:
    """Return a dead letter as JSON."""
    letter = kept.letter
    return {
        "id": kept.id,
        "event": kept.event_id,
        "topic": kept.topic,
        "key": kept.order_key or None,
        "subscriber": text_of(letter.key),
        "path": path_of(letter.key),
        "group": group_of(letter.key),
        "reason": letter.reason,
        "attempts": letter.attempts,
        "first_attempt_at": None if letter.first_at is None else rfc3339(letter.first_at),
        "last_attempt_at": rfc3339(letter.last_at),
        "last_status": letter.status,
        "last_error": letter.error or None,
        "last_answer": body_payload(letter.answer),
        "body_given_up": bool(letter.event_id),
    }


def redelivery_payload(replay: Redelivery) -> dict[str, Any]:
    """Return a redelivery's outcome as JSON."""
    return {
        "replay": replay.id,
        "at": rfc3339(replay.at),
        "replayed": replay.replayed,
        "delivered": replay.delivered,
        "dead_again": replay.dead,
        "discarded": replay.discarded,
        "filtered": replay.filtered,
        "pending": replay.pending,
    }
