"""One message, read with care: what the fast decoder refused is read exactly here, or it is said what is wrong with it.

Slow on purpose and used for such messages only. A flaw names the field and the kind of value found, never the value: it is
logged.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from anomaly_api.alert import DeadLetterReason
from anomaly_api.source import Pipeline, TimeFormat
from anomaly_detector.core.columns import MICROSECONDS

MAX_BYTES: Final = 256 * 1024
"""Of a message. Reading a larger one would hold up its partition."""
MAX_ENTITY: Final = 512
"""Characters of an entity's name."""
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC).timestamp()
_WRITTEN: Final = {
    TimeFormat.ISO8601: "text such as 2026-01-31T10:00:00Z",
    TimeFormat.UNIX_SECONDS: "a number of seconds since 1970",
    TimeFormat.UNIX_MILLIS: "a number of milliseconds since 1970",
}
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Exact:
    """A reading that was read the exact way."""

    entity: str
    time: int
    """Microseconds since 1970 UTC."""
    values: list[float]


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a message."""

    reason: DeadLetterReason
    message: str


class _FlawFound(Exception):  # noqa: N818 - it carries a finding, it is no error
    def __init__(self, reason: DeadLetterReason, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(reason, message)


class Explainer:
    """Reads single messages as a pipeline says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def read(self, value: bytes | None, key: bytes | None, timestamp_ms: int) -> Exact | Flaw:
        """The reading in a message, or what is wrong with it. Raises nothing, takes time linear in the message's size."""
        try:
            document, constant = _document(value)
            found = Exact(self._entity(document, key), self._time(document, timestamp_ms), self._values(document))
            if constant:  # elsewhere in the message
                text = f"the message is not JSON: {constant} is no JSON number; write null or leave it out"
                raise _FlawFound(DeadLetterReason.NOT_JSON, text)
            return found
        except _FlawFound as caught:
            return caught.flaw

    def entity_flaw(self, key: bytes | None) -> Flaw:
        """Why there is no entity."""
        entity = self._pipeline.entity
        if entity.field is not None:
            text = f"{entity.field}: the entity must be text of 1 to {MAX_ENTITY} characters or a whole number"
            return Flaw(DeadLetterReason.ENTITY_INVALID, text)
        if not key:
            text = "the message has no key: send one, or set entity.field or entity.constant"
            return Flaw(DeadLetterReason.ENTITY_MISSING, text)
        return Flaw(DeadLetterReason.ENTITY_INVALID, f"the message key is not UTF-8 text of 1 to {MAX_ENTITY} characters")

    def time_flaw(self) -> Flaw:
        """Why there is no event time."""
        time = self._pipeline.time
        if time.field is None:
            text = "the message has no timestamp: set time.field, or let the producer send one"
            return Flaw(DeadLetterReason.TIME_MISSING, text)
        text = f"{time.field}: the time does not parse: {time.format} is {_WRITTEN[time.format]}, in the years 1 to 9999"
        return Flaw(DeadLetterReason.TIME_INVALID, text)

    def range_flaw(self, feature: int) -> Flaw:
        """Why a number is no value of a feature."""
        path = self._pipeline.features[feature].path
        return Flaw(DeadLetterReason.FEATURE_INVALID, f"{path}: the number is not finite as a 32-bit float (at most 3.4e38)")

    def _entity(self, document: dict[str, Any], key: bytes | None) -> str:
        entity = self._pipeline.entity
        if entity.constant is not None:
            return entity.constant
        if entity.field is None:
            try:
                name = (key or b"").decode()
            except UnicodeDecodeError:
                name = ""
        else:
            found = _lookup(document, entity.field)
            if found is _MISSING:
                raise _FlawFound(DeadLetterReason.ENTITY_MISSING, f"{entity.field}: the entity is missing")
            name = found if isinstance(found, str) else _whole(found)
        if not 0 < len(name) <= MAX_ENTITY or not _encodable(name):
            flaw = self.entity_flaw(key)
            raise _FlawFound(flaw.reason, flaw.message)
        return name

    def _time(self, document: dict[str, Any], timestamp_ms: int) -> int:
        """Microseconds since 1970 UTC."""
        time = self._pipeline.time
        if time.field is None:
            seconds = timestamp_ms / 1000 if timestamp_ms >= 0 else math.nan
        else:
            found = _lookup(document, time.field)
            if found is _MISSING:
                raise _FlawFound(DeadLetterReason.TIME_MISSING, f"{time.field}: the time is missing: {_WRITTEN[time.format]}")
            seconds = _seconds(found, time.format)
        if not _EARLIEST <= seconds <= _LATEST:
            flaw = self.time_flaw()
            raise _FlawFound(flaw.reason, flaw.message)
        return round(seconds * MICROSECONDS)

    def _values(self, document: dict[str, Any]) -> list[float]:
        values = []
        for place, feature in enumerate(self._pipeline.features):
            found = _lookup(document, feature.path)
            if found is _MISSING:
                text = f"{feature.path}: the feature is missing; {_surroundings(document)}"
                raise _FlawFound(DeadLetterReason.FEATURE_MISSING, text)
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                raise _FlawFound(DeadLetterReason.FEATURE_INVALID, f"{feature.path}: expected a number, found {_kind(found)}")
            value = _number(found)
            if not math.isfinite(value):
                flaw = self.range_flaw(place)
                raise _FlawFound(flaw.reason, flaw.message)
            values.append(value)
        return values


def _document(value: bytes | None) -> tuple[dict[str, Any], str]:
    """The object in a message, and the constant in it that JSON does not know, if any."""
    if not value:
        raise _FlawFound(DeadLetterReason.EMPTY, "the message has no value (a tombstone, or nothing was sent)")
    if len(value) > MAX_BYTES:
        raise _FlawFound(DeadLetterReason.TOO_LARGE, f"the message has {len(value)} bytes; a reading may have {MAX_BYTES}")
    constants: list[str] = []

    def unknown(name: str) -> float:
        constants.append(name)
        return math.nan

    try:
        # whole numbers become floats: a number of 100,000 digits is legal JSON, and exact arithmetic with it is slow
        found = json.loads(value.decode(), parse_constant=unknown, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise _FlawFound(DeadLetterReason.NOT_JSON, f"the message is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise _FlawFound(DeadLetterReason.NOT_JSON, f"the message is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _FlawFound(DeadLetterReason.NOT_JSON, "the message is nested too deeply to be read") from None
    if not isinstance(found, dict):
        raise _FlawFound(DeadLetterReason.NOT_AN_OBJECT, f"the message is {_kind(found)}; a reading is a JSON object")
    return found, constants[0] if constants else ""


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 32 else float(digits)


def _lookup(document: dict[str, Any], path: str) -> Any:
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _seconds(found: Any, written: TimeFormat) -> float:
    """Seconds since 1970 UTC; not a number where it is no time."""
    if written is TimeFormat.ISO8601:
        try:
            at = datetime.fromisoformat(found)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError, OverflowError):
            return math.nan
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return math.nan
    return float(found) / (1000 if written is TimeFormat.UNIX_MILLIS else 1)


def _number(found: float) -> float:
    """As the float32 that a window holds."""
    with np.errstate(over="ignore"):
        return float(np.float32(found))


def _whole(found: Any) -> str:
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _encodable(name: str) -> bool:
    """Whether UTF-8 can write it: JSON can escape half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(found: Any) -> str:
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "true or false"
    if isinstance(found, str):
        return "text"
    return "a list" if isinstance(found, list) else "an object" if isinstance(found, dict) else "a number"


def _surroundings(document: dict[str, Any]) -> str:
    """Names of fields at hand; a renamed field is found by them."""
    names = [name[:40] for name in list(document)[:8]]
    return f"the message has {', '.join(names)}" if names else "the message is an empty object"
