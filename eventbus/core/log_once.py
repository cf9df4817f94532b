"""Something that fails, and is tried again and again: worth a line when it begins, and one when it is over. Pure."""


class LogOnce:
    """Whether something is failing just now. Say what became of each try; the answer is whether that is news."""

    def __init__(self) -> None:
        self._lasts = False

    def raised(self) -> bool:
        """It has failed; whether it had not before."""
        lasted, self._lasts = self._lasts, True
        return not lasted

    def cleared(self) -> bool:
        """It has not failed; whether it had before."""
        lasted, self._lasts = self._lasts, False
        return lasted
