"""A spec from nothing: what of a sample is the time, the entity, the features; how far apart readings are, and how late."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from anomaly_api.schema import Empty
from anomaly_api.source import Entity, Feature, Pipeline, Time, Window
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.cli.fields import Found, by_message, fields
from anomaly_detector.cli.sample import Sample
from anomaly_detector.core.decode.exact import Explainer
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.names import key_reader
from anomaly_detector.core.decode.times import TimeReader

_LABELS: Final = ("label", "anomaly", "is_anomaly", "anomalous", "changepoint")
_IDENTITY: Final = re.compile(
    r"(^|[._/-])(id|key|name|host|hostname|device|device_?name|device_?id|sensor|sensor_?id|machine|entity|instance|pump|server|"
    r"service|unit|asset|tag|node|pod|interface)$",
    re.IGNORECASE,
)
_NO_FEATURE: Final = re.compile(
    r"(^|[._/-])(seq|sequence|offset|index|row|counter_?id|version|uptime|port|partition|lat|lon|id)$", re.I
)
_SENTINELS: Final = (-9999, -999, -99999, 9999, 99999, 65535, -32768, 32767, -1e30)
_PAIR_NAMES: Final = (
    ("name", "value"),
    ("resourceName", "value"),
    ("metric", "value"),
    ("sensor", "value"),
    ("n", "v"),
    ("key", "value"),
)
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800)
_MOST_FEATURES: Final = 128
_ENOUGH: Final = 0.95


def documents_of(sample: Sample) -> list[dict[str, Any] | None]:
    """What is in the messages; None where it is no JSON object."""
    anything = Pipeline(entity=Entity(key=Empty()), time=Time(), features=[Feature(name="x")], windows=[Window(name="short")])
    read = Explainer(anything).document
    found = [read(value) if value else None for value in sample.values]
    return [None if isinstance(document, Flaw) else document for document in found]


class Proposal:
    """The parts of a spec, and why. Raises CommandError where nothing can be proposed."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.why: list[str] = []
        """What was seen, a sentence each."""
        self._documents = documents_of(sample)
        readable = sum(document is not None for document in self._documents)
        if not readable:
            raise CommandError(f"{sample.name}: none of the {len(sample)} messages is a JSON object")
        self.why.append(f"{readable} of {len(sample)} messages of {sample.name} are JSON objects")
        self.pairs = self._paired()
        self._fields = fields(self._documents)
        self._stamps = sample.stamps_ms.tolist()
        self.time, self._times = self._timed()
        self.entity, self._names = self._named()
        self.features = self._numbers()
        with_any = {place for each in self._fields.values() if self._watched(each) for place in each.places}
        if with_any:  # what is about something else has no pace
            self._times = {place: time for place, time in self._times.items() if place in with_any}
        self.merge = self._merged()
        self.max_gap, self.lateness = self._paced()

    def spec(self) -> dict[str, Any]:
        """As YAML has it."""
        kafka, name = self.sample.kafka, re.sub(r"[^a-z0-9]+", "-", self.sample.name.removeprefix("topic ").lower().split(".")[0])
        source: dict[str, Any] = {
            "kafka": {
                "bootstrapServers": kafka.bootstrap_servers if kafka else "kafka:9092",
                "topic": kafka.topic if kafka else name.strip("-")[:40] or "readings",
            }
        }
        if self.pairs:
            source["pairs"] = self.pairs
        if self.merge:
            source["merge"] = {"within": self.merge}
        time = {**self.time, **({"lateness": self.lateness} if self.lateness else {})}
        spec: dict[str, Any] = {"source": source}
        if self.entity:
            spec["entity"] = self.entity
        if time:
            spec["time"] = time
        spec["features"] = self.features
        if self.max_gap:
            spec["windows"] = [{"name": "short", "size": 12, "maxGap": self.max_gap}]
        return {
            "apiVersion": "anomaly-operator.dev/v1alpha1",
            "kind": "AnomalyDetector",
            "metadata": {"name": name.strip("-")[:40].strip("-") or "readings"},
            "spec": spec,
        }

    def _paired(self) -> dict[str, str] | None:
        """Lists of pairs, or messages that are one pair each."""
        lists = Counter(
            (path, names)
            for document in filter(None, self._documents)
            for path, items in document.items()
            if isinstance(items, list) and items and all(isinstance(item, dict) for item in items)
            for names in _PAIR_NAMES
            if all(isinstance(item.get(names[0]), str) and names[1] in item for item in items)
        )
        many = [each for each, count in lists.items() if 2 * count > len(self._documents)]
        if many:
            path, (name, value) = many[0]
            self.why.append(f"readings are pairs of {name} and {value} in the list {path}")
            return {"list": path, "name": name, "value": value}
        whole = Counter(
            names
            for document in filter(None, self._documents)
            for names in _PAIR_NAMES
            if isinstance(document.get(names[0]), str) and names[1] in document
        )
        for (name, value), count in whole.items():
            kinds = {document[name] for document in filter(None, self._documents) if isinstance(document.get(name), str)}
            if count > 0.9 * len(self._documents) and 2 <= len(kinds) <= _MOST_FEATURES and name in ("name", "metric"):
                self.why.append(f"a message is a pair of {name} and {value}, of {len(kinds)} names")
                return {"name": name, "value": value}
        return None

    def _timed(self) -> tuple[dict[str, str], dict[int, int]]:
        """`spec.time`, and event times by message."""
        known = len([document for document in self._documents if document is not None])
        candidates = []
        for each in self._fields.values():
            written = each.time(self._stamps) if len(each.places) >= 0.5 * known else None
            text = isinstance(each.values[0], str)
            if written and (each.named_like_a_time or (text and "Unix" not in written["format"])):
                candidates.append((not each.named_like_a_time, -len(each.places), each.path.count("."), each, written))
        if not candidates:
            stamped = int((self.sample.stamps_ms >= 0).sum())
            self.why.append(f"no field holds times: the messages' own timestamps count ({stamped} have one)")
            return {}, {place: stamp * 1000 for place, stamp in enumerate(self._stamps) if stamp >= 0}
        *_, chosen, written = min(candidates, key=lambda each: each[:3])
        self.why.append(f"{chosen.path} holds times ({', '.join(written.values())})")
        reader = TimeReader(Time(field="t", **written))
        read = {place: reader.read(value, self._stamps[place]) for place, value in zip(chosen.places, chosen.values, strict=True)}
        document = {"field": chosen.path, **({} if written == {"format": "Iso8601"} else written)}
        return document, {place: micros for place, micros in read.items() if micros is not None}

    def _named(self) -> tuple[dict[str, Any], dict[int, Any]]:
        """`spec.entity`, and names by message."""
        keys = self.sample.keys
        if sum(key is not None for key in keys) >= _ENOUGH * len(keys):
            for written in ("Text", "Integer", "Uuid", "Json"):
                read = key_reader(Entity(key=Empty(), key_format=written))
                names = [read(key) for key in keys]
                if not all(name and name.isprintable() for name in names) or len(set(names)) > max(1, len(names) // 3):
                    continue
                if self._apart(dict(enumerate(names))):
                    self.why.append(f"the keys name {len(set(names))} entities, such as {names[0]}")
                    return ({} if written == "Text" else {"keyFormat": written}), dict(enumerate(names))
        candidates = [each for each in self._fields.values() if each.path != self.time.get("field") and each.names]
        candidates = [
            each for each in candidates if _IDENTITY.search(each.path) and not (self.pairs and each.path == self.pairs["name"])
        ]
        candidates = [each for each in candidates if len(set(map(str, each.values))) <= len(each.values) // 3]
        candidates.sort(key=lambda each: (-len(set(map(str, each.values))), each.last.lower() == "name", each.path.count(".")))
        like_keys = [each for each in candidates if self._is_key(each)]
        pairs = itertools.combinations(candidates[:6], 2)
        choices = [(each, other) for each in like_keys for other in candidates[:6] if each is not other]
        for some in (choices, [(each,) for each in candidates[:6]], pairs):
            for chosen in some:
                names_of = by_message(chosen)
                if len(names_of) >= 0.9 * len(self._times or names_of) and self._apart(names_of):
                    return self._by_fields(chosen, names_of)
        if candidates:
            return self._by_fields(candidates[:1], by_message(candidates[:1]))
        self.why.append("nothing tells entities apart: the topic is taken to be about one")
        return {"constant": "all"}, dict.fromkeys(range(len(self._documents)), "all")

    def _is_key(self, each: Found) -> bool:
        """Whether it says what the keys say: these do not tell entities apart, so it does not, either, but with another one."""
        return all(self.sample.keys[place] == str(value).encode() for place, value in zip(each.places, each.values, strict=True))

    def _by_fields(self, chosen: Sequence[Found], names_of: dict[int, Any]) -> tuple[dict[str, Any], dict[int, Any]]:
        self.why.append(f"{' and '.join(each.path for each in chosen)} names {len(set(names_of.values()))} entities")
        if len(chosen) == 1:
            return {"field": chosen[0].path}, names_of
        return {"template": "/".join("{" + each.path + "}" for each in chosen)}, names_of

    def _apart(self, names: dict[int, Any]) -> bool:
        """Whether readings of one entity have different times, nearly all; parts of readings have not."""
        pairs = Counter((names[place], time, self._shape(place)) for place, time in self._times.items() if place in names)
        return sum(count - 1 for count in pairs.values()) <= 0.1 * max(1, pairs.total())

    def _shape(self, place: int) -> Any:
        """Which fields a message has: parts of a reading differ in it."""
        document = self._documents[place] or {}
        if self.pairs and "list" not in self.pairs:
            return document.get(self.pairs["name"])
        return tuple(name if not isinstance(value, dict) else (name, *value) for name, value in document.items())

    def _numbers(self) -> list[dict[str, Any]]:
        """`spec.features`."""
        if self.pairs:
            return self._pair_features()
        taken = {self.time.get("field"), self.entity.get("field"), *re.findall(r"\{([^{}]+)\}", self.entity.get("template", ""))}
        found: list[dict[str, Any]] = []
        for each in self._fields.values():
            if each.path in taken or each.last.lower() in _LABELS or _NO_FEATURE.search(each.path):
                continue
            if len(each.places) < 0.01 * len(self._documents) or each.named_like_a_time:
                continue
            more = {} if each.numeric else each.text
            if more is None:
                continue
            feature = self._feature(each, {} if each.numeric else {"text": more}, {str(one["name"]) for one in found})
            found.append(feature)
        return self._some(found)

    def _watched(self, each: Found) -> bool:
        """Whether it is the field of a feature."""
        return not self.pairs and any(each.path == feature.get("field", feature["name"]) for feature in self.features)

    def _pair_features(self) -> list[dict[str, Any]]:
        pairs = self.pairs or {}
        found: dict[str, Found] = {}
        for place, document in enumerate(self._documents):
            items = (document or {}).get(pairs["list"], []) if "list" in pairs else [document or {}]
            for item in items if isinstance(items, list) else []:
                name = item.get(pairs["name"]) if isinstance(item, dict) else None
                if isinstance(name, str):
                    each = found.setdefault(name, Found(name))
                    each.places.append(place)
                    each.values.append(item.get(pairs["value"]))
        features: list[dict[str, Any]] = []
        for each in found.values():
            more = {} if each.numeric else each.text
            if more is not None:
                features.append(self._feature(each, {} if each.numeric else {"text": more}, {one["name"] for one in features}))
        return self._some(features)

    def _some(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not found:
            raise CommandError(f"{self.sample.name}: no field holds numbers (fields: {', '.join(list(self._fields)[:12])})")
        if len(found) > _MOST_FEATURES:
            self.why.append(f"{len(found)} fields hold numbers: the first {_MOST_FEATURES} are taken")
        return found[:_MOST_FEATURES]

    def _feature(self, each: Found, more: dict[str, Any], others: set[str]) -> dict[str, Any]:
        name = re.sub(r"[^-A-Za-z0-9_]+", "_", each.last).strip("_")[:50] or "feature"
        while name in others:
            name = f"{name}_{len(others)}"
        feature = {"name": name, **({} if each.path == name else {"field": each.path}), **more}
        numbers = [value for value in each.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        others_of = [value for value in numbers if value not in _SENTINELS]
        marks = [one for one in _SENTINELS if numbers.count(one) >= 2]
        if marks and others_of and any(abs(one) > 5 * max(map(abs, others_of)) for one in marks):
            feature["missingValues"] = marks
        if not marks and self._rises(each):
            feature["kind"] = "Counter"
        return feature

    def _rises(self, each: Found) -> bool:
        """Whether it only rises, entity by entity, as counters do."""
        last: dict[Any, float] = {}
        up = down = 0
        for place, value in zip(each.places, each.values, strict=True):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                return False
            before = last.get(self._names.get(place), value)
            up, down = up + (value > before), down + (value < before)
            last[self._names.get(place)] = value
        return up >= 20 and down * 100 <= up and up >= 0.5 * (len(each.values) - len(last))

    def _merged(self) -> str:
        """`merge.within`, where messages are parts of readings; empty where they are readings."""
        count = Counter((self._names.get(place), time) for place, time in self._times.items())
        several = sum(number > 1 for number in count.values())
        if self._times and several > 0.5 * len(count) and len(self.features) > 1:
            self.why.append(
                f"{several} of {len(count)} readings come in several messages of the same entity and time: they are merged"
            )
            return "1s"
        return ""

    def _paced(self) -> tuple[str, str]:
        """`maxGap` and `lateness`; empty where the defaults do."""
        steps, delays = self._steps()
        if not len(steps):
            return "", ""
        usual = float(np.median(steps))
        self.why.append(f"readings of an entity are {_text(usual)} apart")
        late = float(np.quantile(delays, 0.99)) if len(delays) and (delays > 0).mean() > 0.005 else 0.0
        if late:
            self.why.append(f"{(delays > 0).mean():.1%} of the readings come out of order, by {_text(late)} at most")
        return (_rounded(3 * usual) if 3 * usual > 300 else ""), (_rounded(late) if late else "")

    def _steps(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Seconds between readings of an entity, and how far each is behind the newest one before it."""
        newest: dict[Any, int] = {}
        steps, delays = [], []
        for place, time in sorted(self._times.items()):
            name = self._names.get(place)
            before = newest.get(name)
            if before is not None:
                delays.append(max(0, before - time) / 1e6)
                if time > before:
                    steps.append((time - before) / 1e6)
            newest[name] = max(time, before if before is not None else time)
        return np.array(steps), np.array(delays)


def _rounded(seconds: float) -> str:
    """The next step upwards, as a spec writes it."""
    return _text(next((step for step in _STEPS if step >= seconds), _STEPS[-1]))


def _text(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        if seconds >= length and round(seconds) % length == 0:
            return f"{round(seconds) // length}{unit}"
    return f"{seconds:.3g}s" if seconds >= 1 else f"{max(1, round(seconds * 1000))}ms"
