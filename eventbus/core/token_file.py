"""Named tokens: a TOML file with the digest of each, and what it permits. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from eventbus.core.access import Access
from eventbus.core.address_patterns import parse_pattern
from eventbus.core.clock import rfc3339
from eventbus.core.errors import BadRequest
from eventbus.core.tokens import DigestIndex, Scope, expanded
from eventbus.core.toml_tables import Fault, Lines, TableReader, faults_of, fields_hint, read_tables
from eventbus.core.topics import check_patterns

#: The table of one token.
TABLE = "token"
#: Who asks without a name, in the audit log: no token may be called so.
ANONYMOUS = "anonymous"
#: What a name may be: it is sent as the value of a header.
ALLOWED_NAME = "1 to 64 letters, digits and ._-, the first a letter or a digit"
#: Tokens in one file, at most.
MAX_TOKENS = 20_000
_NAME, _DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"), re.compile(r"sha256:([0-9a-f]{64})\Z")
_FIELDS = ("name", "digest", "scopes", "publish", "subscribe", "addresses", "expires")
#: Fields that narrow a scope, each with that scope.
_NARROWS = {"publish": Scope.PUBLISH, "subscribe": Scope.SUBSCRIBE, "addresses": Scope.SUBSCRIBE}


@dataclass(frozen=True, slots=True)
class NamedToken:
    """What a token permits, until when (seconds since 1970; None for ever), and the line of its table."""

    access: Access
    digest: bytes = field(repr=False)
    expires: float | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class TokenFile:
    """What a file says: the tokens, unless there are faults."""

    tokens: tuple[NamedToken, ...] = ()
    faults: tuple[Fault, ...] = ()

    def index(self) -> DigestIndex[NamedToken]:
        """Return the tokens, to be found by their digests."""
        return DigestIndex({each.digest: each for each in self.tokens})


def check_name(text: str) -> str:
    """Return ``text`` if a token may have this name. Raises BadRequest."""
    if text == ANONYMOUS:
        raise BadRequest(f"no token may have the name {ANONYMOUS}, which is for clients without one")
    if not _NAME.match(text):
        raise BadRequest(f"a name has {ALLOWED_NAME}, and is not {text[:100]!r}")
    return text


def parse_token_file(content: bytes) -> TokenFile:
    """Parse a file, and find all of its faults. No fault repeats a digest."""
    found = read_tables(content, TABLE)
    if found.faults:
        return TokenFile(faults=found.faults)
    if len(found.tables) > MAX_TOKENS:
        return TokenFile(faults=(Fault(f"It has {len(found.tables):,} tokens; {MAX_TOKENS:,} are allowed."),))
    rows = [_Row(table, number, found.lines) for number, table in enumerate(found.tables)]
    known: dict[bytes, _Row] = {}
    for row in rows:
        if row.digest and known.setdefault(row.digest, row) is not row:
            row.fault("digest", f"the same digest is in line {known[row.digest].line('digest')}, too")
    faults = faults_of(rows)
    return TokenFile(() if faults else tuple(row.token() for row in rows), faults)


class _Row(TableReader):
    """One token's table."""

    def __init__(self, table: Mapping[str, Any], number: int, lines: Lines) -> None:
        name = table.get("name")
        is_named = isinstance(name, str) and _NAME.match(name)
        super().__init__(table, number, lines, str(name) if is_named else f"token {number + 1}")
        for name in table:
            if name not in _FIELDS:
                self.fault(name, f"{name[:40]!r} is no field of a token; {fields_hint(name, _FIELDS)}")
        self.name = self._parsed("name", check_name) or ""
        self.digest = self._parsed("digest", _digest) or b""
        self.scopes = frozenset(self._each("scopes", _scope))
        if "scopes" not in table or not table["scopes"]:
            self.fault("scopes", f"its scopes are missing: some of {', '.join(Scope)}")
        self.publish, self.subscribe = self._patterns("publish"), self._patterns("subscribe")
        self.addresses = tuple(self._each("addresses", parse_pattern))
        self.expires = self._expiry()
        self._check_narrowed()

    def token(self) -> NamedToken:
        """Return the token, where there are no faults."""
        access = Access(expanded(self.scopes), self.name, self.publish, self.subscribe, self.addresses)
        return NamedToken(access, self.digest, self.expires, self.line("name"))

    def _parsed(self, name: str, parse: Callable[[str], Any]) -> Any:
        value = self._table.get(name)
        try:
            if isinstance(value, str):
                return parse(value)
            self.fault(name, f"its {name} is missing" if value is None else f"{name} must be a text")
        except BadRequest as error:
            self.fault(name, str(error))
        return None

    def _each(self, name: str, parse: Callable[[str], Any]) -> list[Any]:
        values = self._table.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.fault(name, f"{name} must be a list of texts")
            return []
        found = []
        for value in values:
            try:
                found.append(parse(value))
            except BadRequest as error:
                self.fault(name, str(error))
        return found

    def _patterns(self, name: str) -> tuple[str, ...]:
        texts = self._each(name, str)
        try:
            return check_patterns(texts)
        except BadRequest as error:
            self.fault(name, str(error))
        return ()

    def _expiry(self) -> float | None:
        value = self._table.get("expires")
        if value is None:
            return None
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.timestamp()
        if isinstance(value, date) and not isinstance(value, datetime):
            return datetime.combine(value, time(), UTC).timestamp()
        self.fault("expires", "expires must be a date, or a time with its offset such as 2027-01-31T00:00:00Z")
        return None

    def _check_narrowed(self) -> None:
        """Patterns narrow a scope that a token has; they would promise more than they do where it may do all."""
        for name, scope in _NARROWS.items():
            if name in self._table and not self._table[name]:
                self.fault(name, f"{name} is empty: leave it out to permit everything")
            elif name in self._table and Scope.ADMIN in self.scopes:
                self.fault(name, f"{name} narrows nothing: the scope admin permits everything")
            elif name in self._table and scope not in self.scopes:
                self.fault(name, f"{name} narrows the scope {scope}, which this token does not have")


def _digest(text: str) -> bytes:
    match = _DIGEST.match(text)
    if match is None:
        raise BadRequest("its digest must be sha256: and 64 hexadecimal digits, as 'eventbus token new' prints it")
    return bytes.fromhex(match[1])


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        raise BadRequest(f"{text[:40]!r} is no scope; there are {', '.join(Scope)}") from None


def table_of(token: NamedToken) -> str:
    """Write a token as the table of a file."""
    access = token.access
    rows: dict[str, str] = {
        "name": _text(access.name),
        "digest": _text(f"sha256:{token.digest.hex()}"),
        "scopes": _list(sorted([Scope.ADMIN] if access.is_admin else access.scopes)),
    }
    lists = {"publish": access.publish, "subscribe": access.subscribe}
    lists["addresses"] = tuple(pattern.text for pattern in access.addresses)
    rows |= {name: _list(values) for name, values in lists.items() if values}
    if token.expires is not None:
        rows["expires"] = rfc3339(token.expires)
    return "".join([f"[[{TABLE}]]\n", *(f"{name} = {value}\n" for name, value in rows.items())])


def _text(value: str) -> str:
    """Write visible ASCII as a basic string (TOML 1.0.0, String)."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"
