"""The head of an HTTP/1.1 message: its first line and its header fields, as they were sent."""

from typing import BinaryIO

Headers = tuple[tuple[str, str], ...]


def read_head(reader: BinaryIO) -> tuple[str, Headers] | None:
    """Read one head; None where the other side closed before its first byte, EOFError later on."""
    first = reader.readline()
    if not first:
        return None
    fields = []
    while (line := reader.readline()) not in (b"\r\n", b"\n"):
        if not line:
            raise EOFError("The connection closed inside a message's head")
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    return first.decode("latin-1").rstrip("\r\n"), tuple(fields)


def header(headers: Headers, name: str) -> str | None:
    """The first field of this name, in any case."""
    wanted = name.lower()
    return next((value for field, value in headers if field.lower() == wanted), None)


def read_exactly(reader: BinaryIO, size: int) -> bytes:
    """Read ``size`` bytes; EOFError where there are fewer."""
    data = reader.read(size)
    if len(data) != size:
        raise EOFError(f"The connection closed after {len(data)} of {size} bytes")
    return data
