"""The code speaks the words of docs/glossary.md, and none of those that it once had for the same things."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Words that are no parts of names, and stand in no docstring or comment, and what is said instead.
REPLACED = {
    "place": "position, cursor, checkpoint, host pool or index",
    "places": "positions",
    "anew": "again, reset",
    "vanish": "drop_missing",
    "revive": "requeue",
    "forgive": "count_discarded",
    "bury": "dead_letter",
    "buried": "dead-lettered",
    "stretch": "range",
    "stretches": "ranges",
    "upto": "end",
    "dice": "rng",
    "shortage": "resource_errors",
    "gathering": "merge",
    "meters": "counters",
    "told": "payload, translate_errors, reported",
    "shown": "to_json, payload, displayed",
    "standing": "status",
    "mend": "fix, repair",
    "mended": "fixed, repaired",
    "door": "login",
    "company": "cluster",
    "era": "epoch",
    "trims": "try_acquire_trimmer",
    "patience": "a noun and a unit, such as RETRY_DELAY_SECONDS",
    "misused": "UsageError",
}
#: Words that are no whole names, though they may stand in a sentence.
NO_NAMES = {
    "look": "check, schedule, refresh",
    "lose": "drop_remaining",
    "shed": "shrink",
    "behind": "remaining",
    "lean": "http",
    "stock": "resource_errors",
    "intake": "request_reader",
    "exchange": "response_writer",
    "passing": "rpc_codec",
    "whole": "name the protocol or the job",
    "pieces": "components",
    "readings": "snapshot",
    "ages": "event_times",
    "said": "payload",
    "tell": "log_state_change",
    "beat": "heartbeat",
    "took": "acquired",
    "surplus": "rebalance",
    "alone": "single_node, lock",
    "others": "peers",
    "settled_badly": "failed_deliveries",
    "is_deferred": "retries_of_event",
    "carry_on": "resume",
    "put_back": "release",
    "lose_interest": "unsubscribe",
    "Answer": "DeliveryResponse",
    "Outcome": "AttemptResult",
    "Trouble": "LogOnce",
    "Refused": "BadRequest, ApiError",
    "Wanted": "ReplicationPolicy",
    "Elsewhere": "NotOwner",
    "Misused": "UsageError",
    "Alarm": "Timer",
    "NotKnown": "NotFound",
    "NotUnderstood": "ProtocolError",
    "NodeSilent": "NodeTimeout",
    "NotTaken": "NotAccepted",
    "JournalCrowded": "JournalOutOfMemory",
    "JournalSilent": "JournalTimeout",
    "SLICE": "a noun and a unit",
    "ENOUGH": "a noun and a unit",
    "MOST": "a noun and a unit",
    "AGAIN": "a noun and a unit",
}
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def names_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield each name in a source, with its line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def texts_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield each docstring and comment of a source, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def replaced_in(source: str) -> list[str]:
    """List the words of a source that the glossary has replaced, each with its line and what to say instead."""
    found = []
    for line, name in names_in(source):
        if name in NO_NAMES:
            found.append(f"{line}: {name}: {NO_NAMES[name]}")
        parts = (part.lower() for part in _PARTS.findall(name))
        found.extend(f"{line}: {name}: {REPLACED[part]}" for part in parts if part in REPLACED)
    for line, text in texts_in(source):
        found += [
            f"{line}: {word!r} in a text: {REPLACED[word]}" for word in re.findall(r"[a-z]+", text) if word in REPLACED
        ]
    return found


@pytest.mark.parametrize(
    "path", sorted((ROOT / "eventbus").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_code_has_the_words_of_the_glossary(path: Path) -> None:
    """No name, docstring or comment of a module has a word that the glossary has replaced."""
    assert replaced_in(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "def look(): ...",
        "place_of = 1",
        "class Outcome: ...",
        "lane.put_back()",
        '"""What was told."""',
        "x = 1  # the era",
    ],
)
def test_a_replaced_word_is_found(source: str) -> None:
    """A name, a part of one, a docstring and a comment are read."""
    assert replaced_in(f"{source}\n") != []


def test_each_class_name_of_the_server_stands_once() -> None:
    """No class name stands in two modules of the server; the client may share the names of the domain."""
    where: dict[str, list[str]] = {}
    for path in sorted((ROOT / "eventbus").rglob("*.py")):
        package = path.relative_to(ROOT / "eventbus").parts[0]
        if package in ("client", "cli", "testing"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}
