"""``override`` marks a method that has its base class's contract, and so needs no docstring of its own (PEP 698).

Python 3.11 does not have ``typing.override``. mypy checks the mark as it checks the real one.
"""

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    Method = TypeVar("Method")

    def override(method: Method) -> Method:
        """Return the method as it is."""
        return method


__all__ = ["override"]
