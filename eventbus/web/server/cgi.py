"""The names and forms that CGI, and so WSGI, gives to the parts of a request (RFC 3875, PEP 3333). Pure."""

#: Headers whose variables have no ``HTTP_`` prefix.
_PLAIN = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}


def variable_of(header: str) -> str:
    """Return the variable of a header, whose name is in upper case."""
    return _PLAIN.get(header) or "HTTP_" + header.replace("-", "_")


def unquoted(path: str) -> str:
    """Return a path without escapes, its bytes as Latin-1."""
    if "%" not in path:
        return path
    parts = path.encode("latin-1").split(b"%")
    found = [parts[0]]
    for part in parts[1:]:
        try:
            found.append(bytes([int(part[:2].decode("ascii"), 16)]) + part[2:])
        except ValueError:
            found.append(b"%" + part)
    return b"".join(found).decode("latin-1")
