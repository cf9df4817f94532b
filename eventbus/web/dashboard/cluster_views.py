"""Merge the pages' data of all nodes into the data of one page. Pure."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from eventbus.web.dashboard import tables
from eventbus.web.numbers import count_in
from eventbus.web.query import Query

#: Rows on one page, and rows under "Needs attention".
PAGE_ROWS, MAX_ATTENTION_ROWS = 50, 10
#: Seconds for which a node's sample is used until its next one arrives.
SAMPLE_VALID_SECONDS = 15.0

Row = dict[str, Any]


def overview(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """Merge the overviews of all nodes. What cannot be added up is taken from this node, the first part."""
    own: dict[str, Any] = parts[0]
    attention = _rows([part["attention"] for part in parts])
    latest = [part["latest"] for part in parts if part["latest"] is not None]
    return own | {
        "fresh": all(part["fresh"] for part in parts),
        "subscribers": _added([part["subscribers"] for part in parts]),
        **_added([{name: part[name] for name in ("pending", "in_flight", "dead")} for part in parts]),
        "oldest_pending_seconds": max(part["oldest_pending_seconds"] for part in parts),
        "journal_bytes": max(part["journal_bytes"] for part in parts),
        "latest": merged_sample(latest) if own["latest"] is not None else None,
        "samples": merged_samples([part["samples"] for part in parts]),
        "attention": tables.sorted_by(attention, tables.ATTENTION)[:MAX_ATTENTION_ROWS],
    }


def earlier(query: Query, _: str) -> str:
    """Return the query for the peers' overviews: it asks for samples from before the first one that is needed, too."""
    return urlencode({"since": max(0, count_in(query, "since", 0, 0, 2**53) - int(SAMPLE_VALID_SECONDS * 1_000))})


def merged_samples(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return this node's samples (the first part), each merged with the latest one of every peer at that time."""
    own, *peers = parts
    times = [[sample["at"] for sample in peer] for peer in peers]
    return [merged_sample([sample, *_latest(sample["at"], peers, times)]) for sample in own]


def _latest(at: float, peers: Sequence[Sequence[Row]], times: Sequence[list[float]]) -> list[Row]:
    counts = [bisect_right(known, at) for known in times]
    found = [peer[count - 1] for peer, count in zip(peers, counts, strict=True) if count]
    return [sample for sample in found if at - sample["at"] <= SAMPLE_VALID_SECONDS]


def merged_sample(several: Sequence[Row]) -> Row:
    """Merge one sample of each node into one, at the time of the first.

    Counts are added up. Latencies are estimates: p50 is the nodes' mean, weighted by deliveries; p99 is the largest.
    """
    deliveries = sum(sample["deliveries"] for sample in several)
    weighted = sum(sample["arrival_p50"] * sample["deliveries"] for sample in several)
    return {
        "at": several[0]["at"],
        **{name: sum(sample[name] for sample in several) for name in ("events", "deliveries", "failures", "pending")},
        "arrival_p50": weighted / deliveries if deliveries else 0.0,
        "arrival_p99": max(sample["arrival_p99"] for sample in several),
        "oldest": max(sample["oldest"] for sample in several),
    }


def subscribers(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """Merge the subscribers' rows, of which each node has sent its own up to the end of the page."""
    own: dict[str, Any] = parts[0]
    start, count = own["start"], sum(part["count"] for part in parts)
    rows = tables.sorted_by(_rows([part["rows"] for part in parts]), own["sort"])
    return own | {
        "count": count,
        "rows": rows[start : start + PAGE_ROWS],
        "following": start + PAGE_ROWS if start + PAGE_ROWS < count else None,
    }


def dead_letters(parts: Sequence[Any], _: Query) -> dict[str, Any]:
    """Merge the pages of dead letters: a node sees its own ones earlier than its peers do, and knows its groups."""
    found = letters([part["letters"] for part in parts], PAGE_ROWS)
    named = next((part for part in parts if part.get("group") is not None), parts[0])
    return {
        **parts[0],
        **{name: named.get(name) for name in ("name", "group", "whose")},
        "letters": found,
        "following": found[-1]["id"] if len(found) == PAGE_ROWS else None,
        "dead": sum(part["dead"] for part in parts),
    }


def letters(parts: Sequence[Sequence[Row]], limit: int) -> list[Row]:
    """Return the first ``limit`` dead letters of all parts by id, each once."""
    known = {letter["id"]: letter for part in parts for letter in part}
    return [known[number] for number in sorted(known)[:limit]]


def _rows(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return each subscriber's row once: one whose ownership moves may have a row on two nodes."""
    return list({row["key"]: row for part in reversed(parts) for row in part}.values())


def _added(parts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(total)
