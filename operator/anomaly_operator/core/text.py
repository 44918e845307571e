"""Texts of others, before they go into a status: what a program prints may be of any length."""

from typing import Final

_LONGEST: Final = 2000


def bounded(text: str) -> str:
    """The text, cut to 2000 characters where it is longer.

    >>> len(bounded("x" * 5000))
    2000
    """
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def lasting(seconds: float) -> str:
    """A length of time for people, in its largest unit.

    >>> lasting(40), lasting(700), lasting(9000), lasting(400_000)
    ('40 s', '12 min', '2.5 h', '4.6 d')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.2g} h" if seconds < 172_800 else f"{seconds / 86_400:.2g} d"
