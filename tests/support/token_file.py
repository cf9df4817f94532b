"""Files of named tokens, as tests write them."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path


def digest(token: str) -> str:
    """What a file has of a token."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def token_table(token: str, name: str, scopes: Iterable[str], **lists: Iterable[str]) -> str:
    """The table of one token; ``lists`` are its patterns."""
    fields = {"name": name, "digest": digest(token), "scopes": list(scopes)} | {k: list(v) for k, v in lists.items()}
    return "[[token]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())


def write_tokens(path: Path, tables: Iterable[str]) -> Mapping[str, str]:
    """Write a file, and return the setting that names it."""
    path.write_text("\n".join(tables))
    return {"EVENTBUS_TOKENS_FILE": str(path)}
