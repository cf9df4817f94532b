r"""Escape text from elsewhere for a terminal, so that nothing in it moves the cursor, colours or hides.

Control characters become what Python and JSON would write: ``\x1b``, ``\u202e``.
"""

import unicodedata

#: Invisible, yet needed within emoji and the text of many scripts.
_JOINERS = "\u200c\u200d"
#: Unicode's categories of control characters: controls, formats, surrogates, separators of lines.
_CONTROL_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    """Return the text on one line."""
    return text if text.isascii() and text.isprintable() else "".join(map(_escape_char, text))


def escape_lines(text: str) -> str:
    """Return the text with its own lines and tabs."""
    return "".join(char if char in "\n\t" else _escape_char(char) for char in text.replace("\r\n", "\n"))


def escape_json(text: str) -> str:
    """Return equal JSON, in which control characters are escaped."""
    return text if text.isascii() and "\x7f" not in text else "".join(map(_escape_json_char, text))


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL_CATEGORIES and char not in _JOINERS


def _escape_char(char: str) -> str:
    if not _is_control(char):
        return char
    code = ord(char)
    return _SHORT_ESCAPES.get(char) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65_536 else f"\\U{code:08x}"
    )


def _escape_json_char(char: str) -> str:
    if char == "\n" or not _is_control(char):  # between values; within a string it is an escape already
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
