"""What a feature's value is as a number: numbers, text that is one, states, sentinels. What is none is said by its kind."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from anomaly_api.input import DecimalMark, TextNumbers, ThousandsMark
from anomaly_api.source import Feature
from anomaly_detector.core.columns import Float32, Float64, Mask
from anomaly_detector.core.decode.kinds import kind_of

BEYOND_FLOAT32: Final = 3.4028235677973366e38
"""Half a step above the largest float32: from here on a number becomes infinite."""
NOT_FINITE: Final = "the number is not finite as a 32-bit float (at most 3.4e38)"
_MARKS: Final = {ThousandsMark.DOT: r"\.", ThousandsMark.COMMA: ",", ThousandsMark.SPACE: r"\s", ThousandsMark.APOSTROPHE: "['’]"}
_LONGEST: Final = 64
"""Characters of a number that is text."""

Reader = Callable[[Any], float | str]
"""From what stands in a message to its number, not a number where it says that there is none; or what is wrong with it."""


def reader(feature: Feature) -> Reader:
    """How a feature's values are read."""
    sentinels = frozenset(feature.missing_values or ())
    states = feature.values or {}
    text = _text_reader(feature.text) if feature.text is not None else None

    def read(found: Any) -> float | str:
        if found is None:
            return math.nan
        if type(found) is float or type(found) is int:  # true and false are whole numbers as well
            if states and abs(found) < 1e9 and found == int(found) and str(int(found)) in states:
                return states[str(int(found))]
            if not -BEYOND_FLOAT32 < found < BEYOND_FLOAT32:
                return NOT_FINITE
            return math.nan if found in sentinels else float(found)
        if states and isinstance(found, (str, bool)):
            state = found if isinstance(found, str) else "true" if found else "false"
            if state in states:
                return states[state]
            if text is None or isinstance(found, bool):
                return "the state is none of the feature's values"
        if text is not None and isinstance(found, str):
            number = text(found)
            return number if isinstance(number, str) else math.nan if number in sentinels else number
        return no_number(kind_of(found))

    return read


def no_number(kind: str) -> str:
    """Of a value of another kind."""
    return f"expected a number, found {kind}{' (set text or values of the feature to read it)' if kind == 'text' else ''}"


def _text_reader(written: TextNumbers) -> Callable[[str], float | str]:
    decimal = "," if written.decimal is DecimalMark.COMMA else "."
    mark = _MARKS[written.thousands] if written.thousands is not None else ""
    whole = rf"\d{{1,3}}(?:{mark}\d{{3}})+|\d+" if mark else r"\d+"
    unit = rf"(?:{re.escape(written.unit)})?" if written.unit is not None else ""
    number = re.compile(
        rf"\s*{unit}\s*(?P<number>[-+]?(?:(?:{whole})(?:{re.escape(decimal)}\d*)?|{re.escape(decimal)}\d+)(?:[eE][-+]?\d+)?)\s*{unit}\s*"
    )
    strip = re.compile(mark) if mark else None

    def quick(found: str) -> float | str:
        """Most are plain ASCII: what Python reads as a finite number is one, but for underscores."""
        if not strip and len(found) <= _LONGEST:
            text = found.strip()
            if written.unit is not None:
                text = text.removesuffix(written.unit).rstrip()
            if text.isascii() and "_" not in text and not (decimal == "," and "." in text):
                try:
                    value = float(text.replace(",", ".") if decimal == "," else text)
                except ValueError:
                    return read(found)
                if -BEYOND_FLOAT32 < value < BEYOND_FLOAT32:
                    return value
        return read(found)

    def read(found: str) -> float | str:
        match = number.fullmatch(found) if len(found) <= _LONGEST else None
        if match is None:
            return "the text is no number as the feature's text says"
        digits = strip.sub("", match["number"]) if strip else match["number"]
        value = float(digits.replace(",", ".") if decimal == "," else digits)
        return value if -BEYOND_FLOAT32 < value < BEYOND_FLOAT32 else NOT_FINITE

    return quick


def narrowed(exact: Float64) -> tuple[Float32, Mask]:
    """As float32, and whether a row has a value: 1e300 does not survive it, and is missing."""
    with np.errstate(over="ignore"):
        narrow: Float32 = np.asarray(exact, np.float32)
    finite = np.isfinite(narrow)
    if finite.all():
        return narrow, np.ones(len(narrow), bool)
    return np.where(finite, narrow, np.float32(np.nan)), np.asarray(finite.any(axis=1))


def without(numbers: Float64, sentinels: list[tuple[int, Float64]]) -> Float64:
    """Not a number in the place of those that stand for no value."""
    kept = numbers.copy()
    for place, none in sentinels:
        kept[np.isin(kept[:, place], none), place] = np.nan
    return kept


def as_numbers(row: list[Any], readers: Sequence[tuple[int, Reader]]) -> list[Any]:
    """The values of a record, where those at some places may be text or states."""
    for place, read in readers:
        number = read(row[place])
        row[place] = math.nan if isinstance(number, str) else number
    return [math.nan if number is None else number for number in row]
