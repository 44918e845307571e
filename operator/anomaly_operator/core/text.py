"""Texts of others, before they go into a status: what a program prints may be of any length."""

from typing import Final

_LONGEST: Final = 2000


def bounded(text: str) -> str:
    """The text, cut to 2000 characters where it is longer.

    >>> len(bounded("x" * 5000))
    2000
    """
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
