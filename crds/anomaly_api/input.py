"""How a message is read where it is not one plain number a field: paths, numbers as text, filters, pairs, merged messages."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from anomaly_api.schema import Contract, Duration, exactly_one, matching, rule

FieldPath = Annotated[
    str,
    Field(max_length=256),
    matching(
        "write the name of a field, names joined by single dots such as sensors.temperature, or a JSON Pointer such as /a~1b/c.d",
        r"^(/.*|[^./][^.]*(\.[^.]+)*)$",
    ),
]
"""Where a value stands in a reading. Dots lead into nested objects, `sensors.temperature`, and whole numbers into lists,
`readings.0.value`; where a reading has no `sensors`, they are part of a name, as flattened objects have it. A JSON Pointer such
as `/sensors/temp.1` names any field, with `~1` for a slash and `~0` for a tilde within a name."""
_Text = Annotated[str, Field(max_length=256)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class DecimalMark(StrEnum):
    """What stands before a fraction."""

    DOT = "Dot"
    COMMA = "Comma"


class ThousandsMark(StrEnum):
    """What stands between thousands."""

    DOT = "Dot"
    COMMA = "Comma"
    SPACE = "Space"
    APOSTROPHE = "Apostrophe"


@rule("!has(self.thousands) || self.thousands != self.decimal", "text.thousands and text.decimal must not be the same mark")
class TextNumbers(Contract):
    """How numbers are written that come as text."""

    decimal: DecimalMark = DecimalMark.DOT
    """Mark before the fraction. Dot, the default, reads 18.12; Comma reads 18,12."""
    thousands: ThousandsMark | None = None
    """Mark between thousands: Dot, Comma, Space (of any kind) or Apostrophe. Unset: there is none, and text that has one is no
    number."""
    unit: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Unit before or after the number, such as °C. Text with another one is no value. Unset: there is none."""


@exactly_one("equals", "oneOf", "noneOf", "exists")
class Condition(Contract):
    """Something that must hold of a message."""

    field: FieldPath
    """Field of the message that is looked at; dots lead into nested objects, as for features."""
    equals: _Text | None = None
    """Value that the field must have. Numbers are compared as they are written at their shortest: 3, 2.5; true, false and null
    by their names. Unset: another member says what must hold."""
    one_of: Annotated[list[_Text], Field(min_length=1, max_length=64)] | None = None
    """Values of which the field must have one. Unset: another member says what must hold."""
    none_of: Annotated[list[_Text], Field(min_length=1, max_length=64)] | None = None
    """Values of which the field must have none; a message without the field passes. Unset: another member says what must
    hold."""
    exists: bool | None = None
    """Whether the field must be there (true) or must not (false), whatever its value. Unset: another member says what must
    hold."""


class Pairs(Contract):
    """Readings in the long format: names and values as pairs, one or several a message."""

    list_: Annotated[FieldPath | None, Field(alias="list")] = None
    """Field with a list of objects, each of which is a pair. Unset: the message is one pair itself."""
    name: FieldPath = "name"
    """Field of a pair with the name of the feature, default name. A feature takes the pair whose name is the feature's
    `field`, by default its own name."""
    value: FieldPath = "value"
    """Field of a pair with the feature's value, default value."""


class Merge(Contract):
    """Messages that are parts of one reading."""

    within: Duration
    """Longest time, in event time, between the first part of a reading and the last one. Messages of one entity that lie no
    further apart and have different features become one reading, at the time of the first part. It is used as soon as it is
    complete, or once its entity has sent something later than that."""
