"""What a detector would do with a sample of its stream: found where, parsed how, missing how often; entities, times, losses.

The messages go through the very stages of a scoring pod, so what is said here is what would happen there.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from anomaly_api.policy import Fallback
from anomaly_api.schema import seconds
from anomaly_api.source import Feature, Pipeline
from anomaly_detector.cli.propose import documents_of
from anomaly_detector.cli.sample import Sample
from anomaly_detector.core.columns import Messages
from anomaly_detector.core.decode import numbers
from anomaly_detector.core.decode.flaw import Flaw
from anomaly_detector.core.decode.formats.readers import documents_of as of_format
from anomaly_detector.core.decode.kinds import kind_of
from anomaly_detector.core.decode.paths import MISSING
from anomaly_detector.core.decode.reading import ReadingReader
from anomaly_detector.core.preprocess.counts import ReadingCounts
from anomaly_detector.core.preprocess.delays import LATENESSES
from anomaly_detector.core.preprocess.intake import Intake
from anomaly_detector.core.preprocess.preprocessor import Preprocessor

_FEW: Final = 3


class Facts:
    """What became of the messages of a sample under a pipeline."""

    def __init__(self, pipeline: Pipeline, sample: Sample) -> None:
        self._pipeline, self._sample = pipeline, sample
        self._stage = Preprocessor(Intake.of(pipeline, Fallback()))
        self._tally = ReadingCounts()
        self._windows = dict.fromkeys((window.name for window in pipeline.windows), 0)
        self._rejects: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._skips: Counter[str] = Counter()
        self._entities: Counter[str] = Counter()
        self._parts: list[tuple[Any, Any, Any]] = []
        self.wrong: list[str] = []
        """What would keep the detector from scoring as the spec says."""
        self._run()

    def _run(self) -> None:
        sample = self._sample
        most = self._stage.most_messages
        for begin in range(0, len(sample), most):
            part = slice(begin, begin + most)
            messages = Messages(sample.values[part], sample.keys[part], sample.stamps_ms[part], sample.partitions[part])
            decoded = self._stage.decode(messages)
            for reject in decoded.rejects:
                self._rejects[reject.reason.value] += 1
                self._examples.setdefault(reject.reason.value, reject.message)
            self._skips.update(reason.value for _, reason in decoded.skips)
            self._entities.update(decoded.batch.entities)
            self._parts.append((decoded.batch.times, sample.stamps_ms[part][decoded.batch.rows], decoded.batch.entities))
            for portion in self._stage.micro_batches(decoded.batch):
                taken = self._stage.process(portion)
                self._tally += taken.tally
                for window in taken.windows:
                    self._windows[window.name] += len(window.times)

    def lines(self) -> Iterator[str]:
        """For people."""
        readings, dead, left = self._entities.total(), self._rejects.total(), self._skips.total()
        yield f"{len(self._sample)} messages of {self._sample.name}: {readings} readable, {dead} dead letters, {left} left alone"
        for reason, count in self._rejects.most_common():
            yield f"  {count} {reason}: {self._examples[reason]}"
        for reason, count in self._skips.most_common():
            yield f"  {count} {reason}"
        if 2 * dead > len(self._sample):
            self.wrong.append("most messages are dead letters")
        if not readings:
            self.wrong.append("no message is a reading")
            return
        yield from self._features()
        yield from self._named()
        yield from self._timed()
        yield from self._paced()

    def _features(self) -> Iterator[str]:
        pipeline = self._pipeline.model_copy(update={"features": self._pipeline.read})
        reader, watched = ReadingReader(pipeline), pipeline.features
        found: list[list[Any]] = [[] for _ in watched]
        for document in self._documents():
            if (lacking := reader.lacking(document)) is not None and not all(lacking):
                for place, value in enumerate(reader.found(document)):
                    found[place].append(value)
        yield "features"
        for feature, values in zip(watched, found, strict=True):
            yield self._feature(feature, values)

    def _documents(self) -> Iterator[Mapping[str, Any]]:
        """What is in the messages, as their format has it."""
        if self._pipeline.is_json:
            yield from filter(None, documents_of(self._sample))
            return
        read = of_format(self._pipeline)
        for value in filter(None, self._sample.values):
            found = read(value)
            if not isinstance(found, Flaw):
                yield from found

    def _feature(self, feature: Feature, values: list[Any]) -> str:
        read = numbers.reader(feature)
        kinds = Counter(kind_of(value) for value in values if value is not MISSING)
        good = [number for value in values if value is not MISSING and isinstance(number := read(value), float)]
        good = [number for number in good if not math.isnan(number)]
        lacks = 1 - len(good) / max(1, len(values))
        if not good:
            what = f"is {kinds.most_common(1)[0][0]} in all messages" if kinds else "is in no message"
            self.wrong.append(f"feature {feature.name}: {feature.path} {what}")
            return f"  {feature.name}: {feature.path} {what}"
        share = "" if not lacks or self._pipeline.merge is not None else f", missing in {lacks:.1%}"
        ill = {
            kind: count for kind, count in kinds.items() if kind != "a number" and feature.text is None and feature.values is None
        }
        found = f" ({', '.join(f'{count} times {kind}' for kind, count in ill.items())})" if ill else ""
        how = (
            "text that is a number" if kinds["text"] and feature.text is not None else "states" if feature.values else "a number"
        )
        return f"  {feature.name}: {feature.path}, {how} from {min(good):g} to {max(good):g}{share}{found}"

    def _named(self) -> Iterator[str]:
        few = ", ".join(f"{name} ({count})" for name, count in self._entities.most_common(_FEW))
        yield f"entities: {len(self._entities)}, such as {few}"

    def _timed(self) -> Iterator[str]:
        times = np.concatenate([times for times, _, _ in self._parts])
        stamps = np.concatenate([stamps for _, stamps, _ in self._parts]).astype(np.int64)
        first, last = (np.datetime64(int(moment), "us").astype("datetime64[s]") for moment in (times.min(), times.max()))
        behind = (stamps[stamps >= 0] * 1000 - times[stamps >= 0]) / 1e6
        lag = (
            f"; {np.median(behind):,.3g} s before the messages' own timestamps"
            if len(behind) and self._pipeline.time.field
            else ""
        )
        yield f"times: {first}Z to {last}Z{lag}"

    def _paced(self) -> Iterator[str]:
        newest: dict[str, int] = {}
        steps = []
        for times, _, entities in self._parts:
            for time, name in zip(times.tolist(), entities, strict=True):
                if name in newest and time > newest[name]:
                    steps.append((time - newest[name]) / 1e6)
                newest[name] = max(time, newest.get(name, time))
        if steps:
            usual = float(np.median(steps))
            yield f"pace: a reading of an entity every {usual:g} s"
            for window in self._pipeline.windows:
                if usual > seconds(window.max_gap):
                    gap = f"readings are {usual:g} s apart, and maxGap is {window.max_gap}"
                    self.wrong.append(f"window {window.name} never fills: {gap}; raise it")
        tally = self._tally
        if tally.late or tally.duplicates:
            yield f"losses: {tally.late} late, {tally.duplicates} with the entity and time of another one{self._remedy()}"
            if tally.late + tally.duplicates > 0.01 * self._entities.total():
                self.wrong.append(f"{tally.late} late readings and {tally.duplicates} duplicates would not count")
        for name, count in self._windows.items():
            yield f"window {name}: {count} windows to score"

    def _remedy(self) -> str:
        kept, late = 0, sum(self._tally.delays.values())
        for place, count in sorted(self._tally.delays.items()):
            kept += count
            if kept >= 0.99 * late:
                return f" (time.lateness: {LATENESSES[place]:g}s would keep those that come out of order)"
        return ""
