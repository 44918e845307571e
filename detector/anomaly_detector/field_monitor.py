"""Whether readings have the fields that the spec names: a look at a few messages each second, so that it costs nothing.

A field that an upgrade of the producers renamed makes no reading unreadable as long as others are there: what is missing is
filled in. So it is looked for here, and for what may have come in its place: a number of similar name that is new. A value that
is none (text, NaN) is lacking as well. A message without any of the features may be about something else: it counts where there
are no others, and where each feature may have another name in it.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from anomaly_api.evidence import FeatureEvidence, PresenceEvidence
from anomaly_api.source import Pipeline
from anomaly_detector.core.decode.exact import Explainer
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.readers import documents_of
from anomaly_detector.core.decode.paths import path

_SAMPLES: Final = 16
_RECENT_SECONDS: Final = 60
_PART_SECONDS: Final = 30
"""So long a feature may be in none of the parts of readings that are looked at."""
_LARGEST: Final = 65_536
_MOST_FIELDS: Final = 200
_DEEPEST: Final = 4
_SIMILAR: Final = 0.6


class FieldMonitor:
    """What the messages looked at lately have and lack. `now` is in Unix seconds."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._explainer = Explainer(pipeline.model_copy(update={"features": pipeline.read}))
        self._documents = None if pipeline.is_json else documents_of(pipeline)
        self._paths = {feature.name: feature.path for feature in pipeline.read}
        self._parts = pipeline.merge is not None
        """Whether a message has some of the features only."""
        self._places = {name: path(text).dotted for name, text in self._paths.items()}
        """As the look at a message names them: an object's member and a name with a dot in it are the same place."""
        others = (path(field).dotted for field in (pipeline.entity.field, pipeline.time.field) if field)
        self._named = {*self._places.values(), *others}
        self._usual: set[str] = set()
        """Fields of messages that lacked nothing."""
        self._seen = dict.fromkeys(self._paths, 0)
        self._last_seen: dict[str, float] = {}
        self._likely: dict[str, tuple[str, float]] = {}
        self._recent: deque[tuple[float, int, int, dict[str, int]]] = deque()
        """When, how many readings, how many messages without any feature, and how many readings lacked each."""
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
        sampled, others, lacking = 0, 0, dict.fromkeys(self._paths, 0)
        for value in values[:: max(1, len(values) // _SAMPLES)]:
            document = self._document(value)
            lacks = self._explainer.reader.lacking(document) if document is not None else None
            if document is None or lacks is None:
                continue
            absent = [name for name, lack in zip(self._paths, lacks, strict=True) if lack]
            renamed = self._learn(_fields(document), absent, now)
            if len(absent) == len(self._paths) and not renamed:
                others += 1
                continue
            sampled += 1
            for name in absent:
                if not self._parts or now - self._last_seen.setdefault(name, now) > _PART_SECONDS:
                    lacking[name] += 1
        self._recent.append((now, sampled, others, {name: count for name, count in lacking.items() if count}))
        while self._recent[0][0] <= now - _RECENT_SECONDS:
            self._recent.popleft()

    def evidence(self, now: float) -> PresenceEvidence:
        """Of the last minute."""
        recent = [entry for entry in list(self._recent) if entry[0] > now - _RECENT_SECONDS]
        sampled, others = sum(entry[1] for entry in recent), sum(entry[2] for entry in recent)
        found = []
        for name, field in self._paths.items():
            lacking = sum(entry[3].get(name, 0) for entry in recent) + (0 if sampled else others)
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
        return PresenceEvidence(sampled=sampled or others, features=found)

    def _document(self, value: bytes | None) -> dict[str, Any] | None:
        """What is in a message; None: it is no reading."""
        if not value or len(value) > _LARGEST:
            return None
        if self._documents is None:
            document = self._explainer.document(value)
            return None if isinstance(document, Flaw) else document
        documents = self._documents(value)
        return None if isinstance(documents, Flaw) or not documents else documents[0]

    def _learn(self, fields: Mapping[str, bool], absent: Sequence[str], now: float) -> bool:
        """Whether each of those that are absent may have another name in it."""
        for name in self._paths.keys() - set(absent):
            self._seen[name] += 1
            self._last_seen[name] = now
        if not absent:
            if len(self._usual) < _MOST_FIELDS:
                self._usual |= fields.keys()
            return False
        new = [each for each, number in fields.items() if number and each not in self._named and each not in self._usual]
        likely = {name: place for name in absent if (place := self._similar(name, new))}
        if len(likely) == len(absent) or len(absent) < len(self._paths):
            self._likely |= {name: (place, now) for name, place in likely.items()}
        return len(likely) == len(absent)

    def _similar(self, name: str, new: Sequence[str]) -> str:
        likeness, place = max(((_likeness(self._places[name], each), each) for each in new), default=(0.0, ""))
        return place if likeness >= _SIMILAR else ""


def _fields(document: Mapping[str, Any]) -> dict[str, bool]:
    """By path: whether it is a number."""
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
