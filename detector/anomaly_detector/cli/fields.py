"""What fields messages have, and what stands in them: numbers, text that is a number, times, names. A look at a sample."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from anomaly_api.source import Time, TimeFormat
from anomaly_detector.core.decode.times import PER_MICROSECOND, TimeReader, doubtful

_DEEPEST: Final = 4
_MOST_FIELDS: Final = 400
_NUMBER: Final = re.compile(r"\s*(?P<digits>[-+]?\d[\d.,'  ]*(?:[eE][-+]?\d+)?)\s*(?P<unit>\D{0,12}?)\s*")
_TIME_NAME: Final = re.compile(
    r"(^|[._/@])(timestamp|time|ts|at|datetime|date|origin|event_?time|measured_?at|created_?at)$", re.IGNORECASE
)
_PATTERNS: Final = (
    *("%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d-%m-%Y %H:%M:%S"),
)
_ALL: Final = 0.95
"""Share of the values that have to be of a kind for a field to be."""


@dataclass
class Found:
    """A field, and all values of it in the sample, with the places of their messages."""

    path: str
    """As a spec writes it."""
    places: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    @property
    def last(self) -> str:
        """Its last name."""
        return re.split(r"[./]", self.path)[-1]

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, but for values that are none."""
        numbers = sum(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values)
        return 2 * numbers > sum(value is not None for value in self.values)

    @property
    def text(self) -> dict[str, Any] | None:
        """How its text is read as numbers (`features[].text`); None: it is no such text."""
        texts = [value for value in self.values if isinstance(value, str) and value.strip()]
        if not texts or len(texts) < _ALL * len([value for value in self.values if value is not None]):
            return None
        matches = [match for text in texts if (match := _NUMBER.fullmatch(text))]
        if len(matches) < _ALL * len(texts):
            return None
        unit, usual = Counter(match["unit"].strip() for match in matches).most_common(1)[0]
        if usual < _ALL * len(matches):
            return None
        return _marks([match["digits"].strip() for match in matches]) | ({"unit": unit} if unit else {})

    @property
    def names(self) -> bool:
        """Whether it holds names: text, or whole numbers."""
        return self._mostly(lambda value: isinstance(value, (str, int)) and not isinstance(value, bool) and value != "")

    def time(self, stamps_ms: Sequence[int]) -> dict[str, str] | None:
        """How its times are written (`spec.time` but for the field); None: they are none."""
        if not self.values:
            return None
        for asked in _formats(self.values[0]):
            reader = TimeReader(Time(field="t", **asked))
            read = [
                reader.read(value, stamps_ms[place]) for place, value in zip(self.places[:500], self.values[:500], strict=False)
            ]
            good = [micros for micros in read if micros is not None and not doubtful(micros)]
            if len(good) >= _ALL * len(read) and (isinstance(self.values[0], str) or (min(good) > _1990 and max(good) < _2100)):
                return {name: str(value) for name, value in asked.items()}
        return None

    @property
    def named_like_a_time(self) -> bool:
        """Whether people would take it for one."""
        return bool(_TIME_NAME.search(self.path))

    def _mostly(self, is_one: Any) -> bool:
        known = [value for value in self.values if value is not None]
        return bool(known) and sum(map(is_one, known)) >= _ALL * len(known)


_1990, _2100 = 631_152_000_000_000, 4_102_444_800_000_000


def fields(documents: Iterable[Mapping[str, Any] | None]) -> dict[str, Found]:
    """By path. A path whose names have dots or slashes is a JSON Pointer where dots would lead elsewhere."""
    found: dict[str, Found] = {}
    for place, document in enumerate(documents):
        if document is None:
            continue
        for path, value in _leaves(document, ()):
            if path not in found:
                if len(found) >= _MOST_FIELDS:
                    continue
                found[path] = Found(path)
            found[path].places.append(place)
            found[path].values.append(value)
    return found


def by_message(chosen: Sequence[Found]) -> dict[int, tuple[Any, ...]]:
    """By message: what stands in these fields, where all are there."""
    found: dict[int, dict[int, Any]] = defaultdict(dict)
    for number, each in enumerate(chosen):
        for place, value in zip(each.places, each.values, strict=True):
            found[place][number] = value
    return {place: tuple(got[number] for number in range(len(chosen))) for place, got in found.items() if len(got) == len(chosen)}


def _leaves(value: Mapping[str, Any], before: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        steps = (*before, name)
        if isinstance(inner, dict) and len(steps) < _DEEPEST:
            yield from _leaves(inner, steps)
        elif name and not isinstance(inner, (dict, list)):
            yield _path(steps), inner


def _path(steps: tuple[str, ...]) -> str:
    plain = all(step and "." not in step and not step.startswith("/") for step in steps)
    if plain or (len(steps) == 1 and not steps[0].startswith(("/", ".")) and ".." not in steps[0] and not steps[0].endswith(".")):
        return ".".join(steps)
    return "/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)


def _marks(digits: Sequence[str]) -> dict[str, Any]:
    """Decimal and thousands marks of numbers."""
    commas, dots = sum("," in each for each in digits), sum("." in each for each in digits)
    both = [each for each in digits if "," in each and "." in each]
    if both:
        return {"decimal": "Comma", "thousands": "Dot"} if both[0].rfind(",") > both[0].rfind(".") else {"thousands": "Comma"}
    return {"decimal": "Comma"} if commas > dots else {}


def _formats(example: Any) -> list[dict[str, Any]]:
    if isinstance(example, bool) or example is None:
        return []
    if isinstance(example, (int, float)):
        return [{"format": each} for each in PER_MICROSECOND]
    numbers = [{"format": each} for each in PER_MICROSECOND] if re.fullmatch(r"\d{9,19}(\.\d+)?", str(example)) else []
    texts = [{"format": TimeFormat.ISO8601}, {"format": TimeFormat.RFC2822}]
    return [*numbers, *texts, *({"format": TimeFormat.PATTERN, "pattern": each} for each in _PATTERNS)]
