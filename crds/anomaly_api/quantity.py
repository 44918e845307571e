"""Kubernetes quantities: `500m`, `256Mi`, `1.5G`. How they are written, and what they come to."""

import re
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field

_NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_QUANTITY: Final = re.compile(rf"({_NUMBER})(?:[eE]([+-]?\d+)|([KMGTPE]i)|([numkMGTPE]))?", re.ASCII)
_BINARY: Final = {f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)}
_DECIMAL: Final = {
    letter: Decimal(1000) ** power for power, letter in zip((-3, -2, -1, 1, 2, 3, 4, 5, 6), "numkMGTPE", strict=True)
}

Quantity = Annotated[str | int, Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 32})]
"""A Kubernetes quantity, such as 500m or 256Mi."""
_AT_LEAST: Final = {
    "rule": "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Mi')) >= 0",
    "message": "write an amount of memory of at least 1Mi, such as 256Mi",
}
Memory = Annotated[
    str | int,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "maxLength": 32, "x-kubernetes-validations": [_AT_LEAST]}),
]
"""An amount of memory, such as 256Mi."""


def amount(quantity: str | int) -> Decimal:
    """What a quantity comes to.

    >>> amount("256Mi"), amount("500m"), amount(7), amount("1e3")
    (Decimal('268435456'), Decimal('0.500'), Decimal('7'), Decimal('1E+3'))

    Raises ValueError when it is none.
    """
    found = _QUANTITY.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"{quantity!r} is not a quantity: write for example 500m or 256Mi")
    number, exponent, binary, decimal = found.groups()
    if exponent:
        return Decimal(f"{number}e{exponent}")
    return Decimal(number) * (_BINARY[binary] if binary else _DECIMAL[decimal] if decimal else 1)
