"""From a decoded message to a reading, whatever its format: JSON, or what another decoder made a mapping of.

    mapping -> filter -> pairs -> values, entity, time -> Exact
                `> Skip    `> Skip (no feature)   `> Flaw

One value that is none makes its feature missing and nothing else. A message is refused where no value is left, or where nobody
knows of what it is, or when. A flaw names the field and the kind of value found, never the value: it is logged.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct

from anomaly_api.alert import DeadLetterReason, NotReading
from anomaly_api.input import Pairs
from anomaly_api.source import Pipeline
from anomaly_detector.core.decode import numbers
from anomaly_detector.core.decode.filters import conditions
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.kinds import surroundings
from anomaly_detector.core.decode.names import KEYS, MAX_ENTITY, Template, key_reader, sound, text_of
from anomaly_detector.core.decode.paths import MISSING, path
from anomaly_detector.core.decode.times import LATEST, WRITTEN, TimeReader

_MOST_PAIRS: Final = 10_000


class Exact(Struct, frozen=True):
    """A reading."""

    entity: str
    time: int
    """Microseconds since 1970 UTC."""
    values: list[float]
    """Not a number where there is none."""


class Skip(NamedTuple):
    """A message that is no reading of this detector, and nothing is wrong with it."""

    reason: NotReading


NO_FEATURE: Final = Skip(NotReading.NO_FEATURE)
FILTERED: Final = Skip(NotReading.FILTERED)


class ReadingReader:
    """Reads single mappings as a pipeline says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._passes = conditions(pipeline.filter)
        self._pairs = _pairs(pipeline.pairs) if pipeline.pairs is not None else None
        self.paths = [path(feature.path) for feature in pipeline.features]
        self._readers = [numbers.reader(feature) for feature in pipeline.features]
        self._entity = path(pipeline.entity.field or "")
        self._template = Template(pipeline.entity.template) if pipeline.entity.template else None
        self._key = key_reader(pipeline.entity)
        self._time_path = path(pipeline.time.field or "")
        self.time = TimeReader(pipeline.time)

    def read(self, document: Mapping[str, Any], key: bytes | None, timestamp_ms: int) -> Exact | Flaw | Skip:
        """The reading, or what is wrong with it. Raises nothing."""
        if self._passes is not None and not self._passes(document):
            return FILTERED
        found = self.found(document)
        if all(each is MISSING for each in found):
            return NO_FEATURE
        entity = self._name(document, key)
        if isinstance(entity, Flaw):
            return entity
        time = self._when(document, timestamp_ms)
        if isinstance(time, Flaw):
            return time
        values = self._values(found, document)
        return values if isinstance(values, Flaw) else Exact(entity, time, values)

    def found(self, document: Mapping[str, Any]) -> list[Any]:
        """What stands in the features' places, or MISSING."""
        if self._pairs is not None:
            pairs = self._pairs(document)
            return [pairs.get(each.text, MISSING) for each in self.paths]
        return [each.lookup(document) for each in self.paths]

    def lacking(self, document: Mapping[str, Any]) -> list[bool] | None:
        """By feature, whether it has no value. None: the message is none of ours, or it says nothing of features."""
        if self._passes is not None and not self._passes(document):
            return None
        return [
            found is MISSING or (found is not None and isinstance(read(found), str))
            for found, read in zip(self.found(document), self._readers, strict=True)
        ]

    def entity_flaw(self, key: bytes | None) -> Flaw:
        """Why there is no entity."""
        entity = self._pipeline.entity
        place = entity.field or entity.template
        if place is not None:
            text = f"{place}: the entity must be text of 1 to {MAX_ENTITY} characters or a whole number"
            return Flaw(DeadLetterReason.ENTITY_INVALID, text)
        if not key:
            return _NO_KEY
        what = KEYS[entity.key_format]
        text = f"the message key is not {what} of 1 to {MAX_ENTITY} characters (entity.keyFormat: {entity.key_format.value})"
        return Flaw(DeadLetterReason.ENTITY_INVALID, text)

    def time_flaw(self, found: Any = None) -> Flaw:
        """Why there is no event time."""
        time = self._pipeline.time
        if time.field is None:
            text = "the message has no timestamp of the years 1970 to 9999: set time.field, or let the producer send one"
            return Flaw(DeadLetterReason.TIME_MISSING, text)
        unit = self.time.wrong_unit(found)
        if unit:
            return Flaw(
                DeadLetterReason.TIME_INVALID, f"{time.field}: the unit of the time is wrong: {unit}: set time.format to it"
            )
        text = f"{time.field}: the time does not parse: {time.format.value} is {WRITTEN[time.format]}, in the years 1 to 9999"
        return Flaw(DeadLetterReason.TIME_INVALID, text)

    def value_flaw(self, feature: int, what: str) -> Flaw:
        """Why what stands in a feature's place is no value of it."""
        return Flaw(DeadLetterReason.FEATURE_INVALID, f"{self.paths[feature].text}: {what}")

    def _name(self, document: Mapping[str, Any], key: bytes | None) -> str | Flaw:
        entity = self._pipeline.entity
        if entity.constant is not None:
            return entity.constant
        if self._template is not None:
            name = self._template.name(document)
            if name is None:
                missing = self._template.missing(document)
                return Flaw(DeadLetterReason.ENTITY_MISSING, f"{missing}: this part of the entity is missing")
        elif entity.field is not None:
            found = self._entity.lookup(document)
            if found is MISSING:
                return Flaw(DeadLetterReason.ENTITY_MISSING, f"{entity.field}: the entity is missing")
            name = text_of(found)
        else:
            name = self._key(key)
        return name if sound(name) else self.entity_flaw(key)

    def _when(self, document: Mapping[str, Any], timestamp_ms: int) -> int | Flaw:
        """Microseconds since 1970 UTC."""
        time = self._pipeline.time
        if time.field is None:
            return timestamp_ms * 1000 if 0 <= timestamp_ms <= LATEST // 1000 else self.time_flaw()
        found = self._time_path.lookup(document)
        if found is MISSING:
            text = f"{time.field}: the time is missing: {WRITTEN[time.format]}"
            return Flaw(DeadLetterReason.TIME_MISSING, text)
        micros = self.time.read(found, timestamp_ms)
        return self.time_flaw(found) if micros is None else micros

    def _values(self, found: list[Any], document: Mapping[str, Any]) -> list[float] | Flaw:
        values, ill = [], None
        for place, (each, read) in enumerate(zip(found, self._readers, strict=True)):
            number = math.nan if each is MISSING else read(each)
            if isinstance(number, str):
                ill = ill or self.value_flaw(place, number)
                number = math.nan
            values.append(number)
        if not all(map(math.isnan, values)):
            return values
        return ill or self._none(document)

    def _none(self, document: Mapping[str, Any]) -> Flaw:
        names = ", ".join(each.text for each in self.paths[:8])
        what = f"{names}: the feature has no value" if len(self.paths) == 1 else f"none of the features has a value ({names})"
        return Flaw(DeadLetterReason.FEATURE_MISSING, f"{what}; {surroundings(document)}")


_NO_KEY: Final = Flaw(
    DeadLetterReason.ENTITY_MISSING,
    "the message has no key: send one, or set entity.field, entity.template or entity.constant",
)


def _pairs(written: Pairs) -> Any:
    """From a message to its values by name; of two of the same name the last counts."""
    place = path(written.list_) if written.list_ is not None else None
    name_of, value_of = path(written.name).lookup, path(written.value).lookup

    def read(document: Mapping[str, Any]) -> dict[str, Any]:
        items = [document] if place is None else place.lookup(document)
        found: dict[str, Any] = {}
        if isinstance(items, list):
            for item in items[:_MOST_PAIRS]:
                if isinstance(item, dict) and isinstance(name := name_of(item), str):
                    found[name] = value_of(item)
        return found

    return read
