"""One message, read with care: what the fast decoder refused is read exactly here, or it is said what is wrong with it.

Slow on purpose, for such messages only. A flaw names the field and the kind of value found, never the value: it is logged.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from anomaly_api.alert import DeadLetterReason
from anomaly_api.source import Pipeline, TimeFormat
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.kinds import KINDS, kind_of, surroundings
from anomaly_detector.core.decode.paths import MISSING, path
from anomaly_detector.core.decode.sizes import MAX_BYTES, MAX_DEPTH, too_deep

MAX_ENTITY: Final = 512
"""Characters of an entity's name."""
_BEYOND_FLOAT32: Final = 3.4028235677973366e38
"""Half a step above the largest float32: from here on a number becomes infinite."""
_EARLIEST: Final = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LATEST: Final = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC).timestamp()
_WRITTEN: Final = {
    TimeFormat.ISO8601: "text such as 2026-01-31T10:00:00Z",
    TimeFormat.UNIX_SECONDS: "a number of seconds since 1970",
    TimeFormat.UNIX_MILLIS: "a number of milliseconds since 1970",
}
_NO_TIME: Final = 10**18
"""Milliseconds that are in no calendar; a whole number may have thousands of digits, and then becomes no float."""
_BROKEN: Final = ("JSON is malformed", "Input data was truncated")
_SAID: Final = re.compile(r"Expected `[^`]*`, got `(?P<kind>\w+)`(?: - at `\$\.(?P<path>[^`]*)`)?")
_MOST_KNOWN: Final = 1_000
_decode: Final = msgspec.json.Decoder().decode


class Exact(Struct, frozen=True):
    """A reading that was read the exact way."""

    entity: str
    time: int
    """Microseconds since 1970 UTC."""
    values: list[float]
    """Not a number where there is none."""


class Explainer:
    """Reads single messages as a pipeline says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._entity_path = path(pipeline.entity.field or "")
        self._time_path = path(pipeline.time.field or "")
        self._paths = [path(feature.path) for feature in pipeline.features]
        self._places = {each.dotted: each.text for each in self._paths}
        self._known: dict[str, Flaw | None] = {}
        self._lenient = _Lenient()
        self._beyond = [
            Flaw(
                DeadLetterReason.FEATURE_INVALID,
                f"{feature.path}: the number is not finite as a 32-bit float (at most 3.4e38)",
            )
            for feature in pipeline.features
        ]

    def at_once(self, said: str, value: bytes | None) -> Flaw | None:
        """What is wrong, if what msgspec says of a message leaves no doubt: a message is not read a second time then.

        Producers that err tend to err alike, so what was said before is remembered.
        """
        if not said or not value:
            return None
        if said.startswith(_BROKEN):
            return _malformed(said, value)
        if said not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[said] = self._wrongkind_of(said)
        return self._known[said]

    def _wrongkind_of(self, said: str) -> Flaw | None:
        """Of a feature that is no number, or a message that is no object; None: it has to be looked at."""
        match = _SAID.fullmatch(said)
        kind = KINDS.get(match["kind"]) if match else None
        if match is None or kind is None:
            return None
        place = match["path"]
        if place is None:
            return _no_object(kind)
        if place in self._places:
            return _no_number(self._places[place], kind)
        return self.time_flaw() if self._pipeline.time.field and place == self._time_path.dotted else None

    def read(self, value: bytes | None, key: bytes | None, timestamp_ms: int, said: str = "") -> Exact | Flaw:
        """The reading in a message, or what is wrong with it. Raises nothing, takes time linear in the message's size.

        `said`: what msgspec said of it, of which `at_once` could make nothing; what it could not parse it is not asked again.
        """
        document, constant = self._document(value, broken=said.startswith(_BROKEN))
        if isinstance(document, Flaw):
            return document
        found = self.of_document(document, key, timestamp_ms)
        if constant and isinstance(found, Exact):  # elsewhere in the message
            text = f"the message is not JSON: {constant} is no JSON number; write null or leave it out"
            return Flaw(DeadLetterReason.NOT_JSON, text)
        return found

    def of_document(self, document: dict[str, Any], key: bytes | None, timestamp_ms: int) -> Exact | Flaw:
        """The reading in a message that has been parsed, or what is wrong with it."""
        entity = self._entity(document, key)
        if isinstance(entity, Flaw):
            return entity
        time = self._time(document, timestamp_ms)
        if isinstance(time, Flaw):
            return time
        values = self._values(document)
        if isinstance(values, Flaw):
            return values
        return Exact(entity, time, values)

    def entity_flaw(self, key: bytes | None) -> Flaw:
        """Why there is no entity."""
        entity = self._pipeline.entity
        if entity.field is not None:
            text = f"{entity.field}: the entity must be text of 1 to {MAX_ENTITY} characters or a whole number"
            return Flaw(DeadLetterReason.ENTITY_INVALID, text)
        if not key:
            return _NO_KEY
        return Flaw(DeadLetterReason.ENTITY_INVALID, f"the message key is not UTF-8 text of 1 to {MAX_ENTITY} characters")

    def time_flaw(self) -> Flaw:
        """Why there is no event time."""
        time = self._pipeline.time
        if time.field is None:
            text = "the message has no timestamp of the years 1970 to 9999: set time.field, or let the producer send one"
            return Flaw(DeadLetterReason.TIME_MISSING, text)
        text = f"{time.field}: the time does not parse: {time.format} is {_WRITTEN[time.format]}, in the years 1 to 9999"
        return Flaw(DeadLetterReason.TIME_INVALID, text)

    def missing_flaw(self, message: bytes | None) -> Flaw:
        """Why a message that the fast decoder reads has no value of any feature."""
        document, _ = self._document(message)
        return document if isinstance(document, Flaw) else self._none(document)

    def range_flaw(self, feature: int) -> Flaw:
        """Why a number is no value of a feature."""
        return self._beyond[feature]

    def _document(self, value: bytes | None, *, broken: bool = False) -> tuple[dict[str, Any] | Flaw, str]:
        """The object in a message, and the constant in it that JSON does not know, if any."""
        if not value:
            return _EMPTY, ""
        if len(value) > MAX_BYTES:
            text = f"the message has {len(value)} bytes; a reading may have {MAX_BYTES}"
            return Flaw(DeadLetterReason.TOO_LARGE, text), ""
        if len(value) > MAX_DEPTH and too_deep(value):
            return _TOO_DEEP, ""
        constant = ""
        try:
            found, constant = self._lenient.read(value) if broken else (_decode(value), "")
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            # most of what is malformed is plainly so; the rest is for a decoder that is slower and less strict
            plain = _malformed(str(error), value) if type(error) is msgspec.DecodeError else None
            if plain is not None:
                return plain, ""
            found, constant = self._lenient.read(value)
        if isinstance(found, (dict, Flaw)):
            return found, constant
        return _no_object(kind_of(found)), ""

    def _entity(self, document: dict[str, Any], key: bytes | None) -> str | Flaw:
        entity = self._pipeline.entity
        if entity.constant is not None:
            return entity.constant
        if entity.field is None:
            try:
                name = (key or b"").decode()
            except UnicodeDecodeError:
                name = ""
        else:
            found = self._entity_path.lookup(document)
            if found is MISSING:
                return Flaw(DeadLetterReason.ENTITY_MISSING, f"{entity.field}: the entity is missing")
            name = found if isinstance(found, str) else _whole(found)
        if not 0 < len(name) <= MAX_ENTITY or not _encodable(name):
            return self.entity_flaw(key)
        return name

    def _time(self, document: dict[str, Any], timestamp_ms: int) -> int | Flaw:
        """Microseconds since 1970 UTC."""
        time = self._pipeline.time
        if time.field is None:
            seconds = timestamp_ms / 1000 if timestamp_ms >= 0 else math.nan
        else:
            found = self._time_path.lookup(document)
            if found is MISSING:
                return Flaw(DeadLetterReason.TIME_MISSING, f"{time.field}: the time is missing: {_WRITTEN[time.format]}")
            seconds = _seconds(found, time.format)
        if not _EARLIEST <= seconds <= _LATEST:
            return self.time_flaw()
        return round(seconds * MICROSECONDS)

    def _values(self, document: dict[str, Any]) -> list[float] | Flaw:
        values = []
        for place, each in enumerate(self._paths):
            found = each.lookup(document)
            if found is MISSING or found is None:
                values.append(math.nan)
                continue
            if type(found) is not float and type(found) is not int:  # true and false are whole numbers as well
                return _no_number(each.text, kind_of(found))
            if not -_BEYOND_FLOAT32 < found < _BEYOND_FLOAT32:
                return self.range_flaw(place)
            values.append(float(found))
        return self._none(document) if all(map(math.isnan, values)) else values

    def _none(self, document: dict[str, Any]) -> Flaw:
        names = ", ".join(feature.path for feature in self._pipeline.features[:8])
        what = f"{names}: the feature is missing" if len(self._paths) == 1 else f"none of the features is there ({names})"
        return Flaw(DeadLetterReason.FEATURE_MISSING, f"{what}; {surroundings(document)}")


_EMPTY: Final = Flaw(DeadLetterReason.EMPTY, "the message has no value (a tombstone, or nothing was sent)")
_TOO_DEEP: Final = Flaw(DeadLetterReason.NOT_JSON, f"the message is nested too deeply to be read (more than {MAX_DEPTH} levels)")
_NO_KEY: Final = Flaw(DeadLetterReason.ENTITY_MISSING, "the message has no key: send one, or set entity.field or entity.constant")


def _no_object(kind: str) -> Flaw:
    return Flaw(DeadLetterReason.NOT_AN_OBJECT, f"the message is {kind}; a reading is a JSON object")


def _no_number(path: str, kind: str) -> Flaw:
    return Flaw(DeadLetterReason.FEATURE_INVALID, f"{path}: expected a number, found {kind}")


def _malformed(said: str, value: bytes) -> Flaw | None:
    """Of a message that no decoder can read; None where a lenient one may."""
    if b"NaN" in value or b"Infinity" in value or b"\\u" in value:
        return None
    return Flaw(DeadLetterReason.NOT_JSON, f"the message is not JSON: {said.removeprefix('JSON is malformed: ')}")


class _Lenient:
    """Reads half surrogates, numbers of any length, and constants that JSON does not know."""

    def __init__(self) -> None:
        self._constants: list[str] = []
        # whole numbers become floats: a number of 100,000 digits is legal JSON, and exact arithmetic with it is slow
        self._decoder = json.JSONDecoder(parse_constant=self._unknown, parse_int=_integer)  # to make one costs as much as to read

    def read(self, value: bytes) -> tuple[Any, str]:
        """What is in a message, or its flaw; and the first such constant, if any."""
        self._constants.clear()
        try:
            found = self._decoder.decode(value.decode())
        except UnicodeDecodeError as error:
            return Flaw(DeadLetterReason.NOT_JSON, f"the message is not UTF-8 text (byte {error.start})"), ""
        except json.JSONDecodeError as error:
            return Flaw(DeadLetterReason.NOT_JSON, f"the message is not JSON: {error.msg} at character {error.pos}"), ""
        return found, self._constants[0] if self._constants else ""

    def _unknown(self, name: str) -> float:
        self._constants.append(name)
        return math.nan


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 32 else float(digits)


def _seconds(found: Any, written: TimeFormat) -> float:
    """Seconds since 1970 UTC; not a number where it is no time."""
    if written is TimeFormat.ISO8601:
        try:
            at = datetime.fromisoformat(found)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        except (TypeError, ValueError, OverflowError):
            return math.nan
    if type(found) is not float and (type(found) is not int or abs(found) >= _NO_TIME):
        return math.nan
    return float(found) / (1000 if written is TimeFormat.UNIX_MILLIS else 1)


def _whole(found: Any) -> str:
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _encodable(name: str) -> bool:
    """Whether UTF-8 can write it: JSON can escape half of a surrogate pair."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
