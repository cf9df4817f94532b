"""Logging of a repeated failure: one line when it begins, and one when it is over. Pure."""


class LogOnce:
    """Tells which results of a repeated operation are worth a log line: changes between failure and success."""

    def __init__(self) -> None:
        self._failing = False

    def raised(self) -> bool:
        """Note a failure; return whether it is the first in a row."""
        was_failing, self._failing = self._failing, True
        return not was_failing

    def cleared(self) -> bool:
        """Note a success; return whether a failure preceded it."""
        was_failing, self._failing = self._failing, False
        return was_failing
