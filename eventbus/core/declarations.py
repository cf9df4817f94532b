"""Declared subscribers: those that a TOML file names, for services that cannot register and renew by themselves. Pure.

A file says all there is to say: an option that it leaves out has its default.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eventbus.core.addresses import Address, parse_address
from eventbus.core.credentials import CredentialKind, GivenCredentials, Kinds
from eventbus.core.errors import BadRequest
from eventbus.core.model import Terms
from eventbus.core.option_kinds import Texts
from eventbus.core.option_table import Option, options_of
from eventbus.core.options import RegistrationOptions
from eventbus.core.toml_tables import Fault, Lines, TableReader, faults_of, fields_hint, read_tables
from eventbus.core.toml_values import kind_of, texts_of

#: The table of one subscriber, and its fields that no option describes.
TABLE, ADDRESS = "subscriber", "address"
#: The fields that name environment variables in which credentials are.
CREDENTIALS = {CredentialKind.AUTHORIZATION: "authorization_env", CredentialKind.SECRET: "secret_env"}
#: A declared subscriber has no lease that ends.
NO_OPTIONS = frozenset({"lease"})
_OPTIONS = tuple(one for one in options_of(Terms, RegistrationOptions) if one.name not in NO_OPTIONS)


def field_of(one: Option) -> str:
    """Return an option's name in a file: its parameter's, and of a list the option's."""
    return one.name if isinstance(one.kind, Texts) else one.parameter


#: The fields of a subscriber.
_FIELDS = (ADDRESS, *map(field_of, _OPTIONS), *CREDENTIALS.values())
#: The name of an environment variable.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


#: Credentials that a file does not name, so that nothing of former ones is left.
NO_VALUES = GivenCredentials(authorization="", secret="")


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declared subscriber: what its registration says. ``terms`` have all options but the lease."""

    address: Address
    terms: Terms
    group: str | None = None
    start: str | None = None
    drain: bool = False
    line: int | None = None
    kinds: Kinds = ()  # which credentials it has
    credentials: GivenCredentials = NO_VALUES

    @property
    def key(self) -> str:
        """The subscriber's key; of a member not its group's."""
        return self.address.key


@dataclass(frozen=True, slots=True)
class Declarations:
    """What a file says: the subscribers, unless there are faults."""

    subscribers: tuple[Declaration, ...] = ()
    faults: tuple[Fault, ...] = ()


def parse_declarations(content: bytes, environment: Mapping[str, str] | None = None) -> Declarations:
    """Parse a file, and find all of its faults; without an ``environment`` no credentials are read from it."""
    found = read_tables(content, TABLE)
    if found.faults:
        return Declarations(faults=found.faults)
    return _declarations(found.tables, found.lines, environment)


def _declarations(
    tables: Sequence[Mapping[str, Any]], lines: Lines, environment: Mapping[str, str] | None
) -> Declarations:
    rows = [_Row(table, number, lines) for number, table in enumerate(tables)]
    for row in rows:
        row.read_credentials(environment)
    known: dict[str, _Row] = {}
    shared: dict[tuple[str, str], tuple[Any, int | None]] = {}
    for row in rows:
        if row.address is not None and known.setdefault(row.address.key, row) is not row:
            first = known[row.address.key].line(ADDRESS)
            row.fault(ADDRESS, f"it is declared twice, first in line {first}")
        row.share(shared)
    faults = faults_of(rows)
    values = {key: value for key, (value, _) in shared.items()}
    return Declarations(() if faults else tuple(row.declaration(values) for row in rows), faults)


class _Row(TableReader):
    """One subscriber's table as it is read: what it gives, and what is wrong in it."""

    def __init__(self, table: Mapping[str, Any], number: int, lines: Lines) -> None:
        text = table.get(ADDRESS)
        label = f"subscriber {number + 1} ({text})" if text and isinstance(text, str) else f"subscriber {number + 1}"
        super().__init__(table, number, lines, label)
        self.address: Address | None = None
        self._credentials = NO_VALUES
        self._given = {one.name: self._value(one, table) for one in _OPTIONS if field_of(one) in table}
        self._read_address(text)
        for name in table:
            if name not in _FIELDS:
                self.fault(name, _unknown(name))

    def share(self, shared: dict[tuple[str, str], tuple[Any, int | None]]) -> None:
        """Add the group's options that this member gives; one that differs from another member's is a fault."""
        group = self._given.get("group") or ""
        for one in _OPTIONS if group else ():
            value = self._given.get(one.name)
            if one.shared and value is not None:
                first, line = shared.setdefault((group, one.name), (value, self.line(field_of(one))))
                if first != value:
                    text = f"{field_of(one)} is the whole group's, and another one in line {line}"
                    self.fault(field_of(one), text)

    def declaration(self, shared: Mapping[tuple[str, str], Any]) -> Declaration:
        """Return the subscriber; options that other members of its group give hold for it, too."""
        assert self.address is not None  # noqa: S101 - else there is a fault
        group = self._given.get("group")
        terms = {
            one.name: self._given.get(one.name, shared.get((group or "", one.name), one.default))
            for one in options_of(Terms)
            if one.name not in NO_OPTIONS
        }
        return Declaration(
            self.address,
            Terms(**terms, declared=True),
            group,
            self._given.get("start"),
            self._given.get("drain", False),
            self.line(ADDRESS),
            tuple(kind for kind, name in CREDENTIALS.items() if name in self._table),
            self._credentials,
        )

    def read_credentials(self, environment: Mapping[str, str] | None) -> None:
        """Read the credentials that the environment has for it; without one, only check how they are named."""
        for kind, name in CREDENTIALS.items():
            variable = self._table.get(name)
            if name not in self._table:
                continue
            if not isinstance(variable, str) or not _VARIABLE.match(variable):
                self.fault(name, f"{name} must be the name of an environment variable, not {str(variable)[:40]!r}")
            elif environment is not None:
                self._read_credential(kind, name, environment.get(variable, "").strip(), variable)

    def _read_credential(self, kind: CredentialKind, name: str, value: str, variable: str) -> None:
        if not value:
            self.fault(name, f"the environment of the bus has no {variable}, or it is empty")
            return
        try:
            self._credentials = replace(self._credentials, **{kind.value: value})
        except BadRequest as error:  # it does not repeat the value
            self.fault(name, f"what {variable} holds is refused: {error}")

    def _read_address(self, text: Any) -> None:
        if not isinstance(text, str):
            self.fault(ADDRESS, f'its address is missing, such as {ADDRESS} = "localhost:8080"')
            return
        try:
            self.address = parse_address(text).with_target(self._given.get("path") or "")
        except BadRequest as error:
            self.fault(ADDRESS, str(error) or "its address is empty")

    def _value(self, one: Option, table: Mapping[str, Any]) -> Any:
        name = field_of(one)
        try:
            texts = texts_of(one, table[name])
            if texts is None:
                self.fault(name, f"{name} must be {one.kind.allowed}, not {kind_of(table[name])}.")
            else:
                return one.kind.parse(name, texts)
        except BadRequest as error:
            self.fault(name, str(error))
        return None


def _unknown(name: str) -> str:
    if name in NO_OPTIONS:
        return f"{name} has no meaning here: a declared subscriber stays for as long as the file has it"
    return f"{name!r} is no field of a subscriber; {fields_hint(name, _FIELDS)}"
