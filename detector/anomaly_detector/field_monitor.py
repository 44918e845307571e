"""Whether readings have the fields that the spec names: a look at a few messages each second, so that it costs nothing.

A field that an upgrade of the producers renamed makes no reading unreadable as long as others are there: what is missing is
filled in. So it is looked for here, and for what may have come in its place: a number of similar name that is new.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

import msgspec

from anomaly_api.evidence import FeatureEvidence, PresenceEvidence
from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.paths import path

_SAMPLES: Final = 16
_RECENT_SECONDS: Final = 60
_LARGEST: Final = 65_536
_MOST_FIELDS: Final = 200
_DEEPEST: Final = 4
_SIMILAR: Final = 0.6
_decode: Final = msgspec.json.Decoder().decode


class FieldMonitor:
    """What the messages looked at lately have and lack. `now` is in Unix seconds."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._paths = {feature.name: feature.path for feature in pipeline.read}
        self._places = {name: path(text).dotted for name, text in self._paths.items()}
        """As the look at a message names them: an object's member and a name with a dot in it are the same place."""
        others = (path(field).dotted for field in (pipeline.entity.field, pipeline.time.field) if field)
        self._named = {*self._places.values(), *others}
        self._usual: set[str] = set()
        """Fields of messages that lacked nothing."""
        self._seen = dict.fromkeys(self._paths, 0)
        self._last_seen: dict[str, float] = {}
        self._likely: dict[str, tuple[str, float]] = {}
        self._recent: deque[tuple[float, int, dict[str, int]]] = deque()
        self._again = 0.0

    @property
    def paths(self) -> Mapping[str, str]:
        """Fields of the features, by their names."""
        return self._paths

    def look(self, values: Sequence[bytes | None], now: float) -> None:
        """At some of a batch's messages, once a second."""
        if now < self._again and self._again - now <= 1.0:
            return
        self._again = now + 1.0
        sampled, lacking = 0, dict.fromkeys(self._paths, 0)
        for value in values[:: max(1, len(values) // _SAMPLES)]:
            fields = _fields(value)
            if fields is None:
                continue
            sampled += 1
            absent = [name for name, place in self._places.items() if place not in fields]
            for name in absent:
                lacking[name] += 1
            self._learn(fields, absent, now)
        self._recent.append((now, sampled, {name: count for name, count in lacking.items() if count}))
        while self._recent[0][0] <= now - _RECENT_SECONDS:
            self._recent.popleft()

    def evidence(self, now: float) -> PresenceEvidence:
        """Of the last minute."""
        recent = [entry for entry in list(self._recent) if entry[0] > now - _RECENT_SECONDS]
        found = []
        for name, field in self._paths.items():
            lacking = sum(entry[2].get(name, 0) for entry in recent)
            likely, at = self._likely.get(name, ("", 0.0))
            if lacking:
                found.append(
                    FeatureEvidence(
                        name=name,
                        field=field,
                        lacking=lacking,
                        seen=self._seen[name],
                        last_seen=self._last_seen.get(name),
                        likely=likely if at > now - _RECENT_SECONDS else "",
                    )
                )
        return PresenceEvidence(sampled=sum(entry[1] for entry in recent), features=found)

    def _learn(self, fields: Mapping[str, bool], absent: Sequence[str], now: float) -> None:
        for name in self._paths.keys() - set(absent):
            self._seen[name] += 1
            self._last_seen[name] = now
        if not absent:
            if len(self._usual) < _MOST_FIELDS:
                self._usual |= fields.keys()
            return
        new = [each for each, number in fields.items() if number and each not in self._named and each not in self._usual]
        for name in absent:
            likeness, place = max(((_likeness(self._places[name], each), each) for each in new), default=(0.0, ""))
            if likeness >= _SIMILAR:
                self._likely[name] = place, now


def _fields(value: bytes | None) -> dict[str, bool] | None:
    """By path: whether it is a number. None: it is no reading."""
    if not value or len(value) > _LARGEST:
        return None
    try:
        document = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return dict(found for found, _ in zip(_walk(document, "", 1), range(_MOST_FIELDS), strict=False))


def _walk(document: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, bool]]:
    for name, value in document.items():
        path = f"{before}{name}"
        if isinstance(value, dict) and depth < _DEEPEST:
            yield from _walk(value, f"{path}.", depth + 1)
        else:
            yield path, isinstance(value, (int, float)) and not isinstance(value, bool)


def _likeness(wanted: str, found: str) -> float:
    """0 to 1, by the last names of two paths: what is cut short or made longer is alike, and so are other spellings."""
    mine, other = (path.rpartition(".")[2].lower().replace("_", "").replace("-", "")[:64] for path in (wanted, found))
    if min(len(mine), len(other)) >= 3 and (mine.startswith(other) or other.startswith(mine)):
        return 0.9
    return SequenceMatcher(None, mine, other).ratio()
