"""A candidate with an intake of its own: another feature, another lateness. It takes in the same messages beside the stable one.

    messages  >  stable's intake     >  windows  >  scores  >  decided
             `>  candidate's intake  >  windows  >  scores  >  counted        a window of both: the same entity, name and time

Readings may come out of the two intakes in different batches, so that a window waits for its pair. It decides nothing: when it is
promoted and has other readings, its intake becomes the one that decides (`core/preprocess/intakes.py`): its windows are full.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct

from anomaly_api.alert import DeadLetterReason
from anomaly_api.evidence import RevisionEvidence
from anomaly_detector.core.alerts.builder import ScoredWindows
from anomaly_detector.core.columns import Int64, Messages
from anomaly_detector.core.decode.json import Reject
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.processor import Processed
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.preprocess.preprocessor import Preprocessed, Preprocessor
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.executor import Executor, Work
from anomaly_detector.core.scoring.revisions import Scores
from anomaly_detector.core.shadow import Shadow

_MOST_WAITING: Final = 100_000
"""Windows of one kind that wait for their pair; the oldest ones are left out then."""
_Place = tuple[int, str, int]
"""Partition, entity and time of a window."""


class _UnderWay(Struct, frozen=True):
    messages: Messages
    taken: Preprocessed
    asked: list[tuple[WindowBatch, Work[Scores]]]


class Apart:
    """The candidate's way from messages to counts."""

    def __init__(self, shadow: Shadow, preprocessor: Preprocessor, partitions: int) -> None:
        """`partitions`: of the source topic."""
        self.shadow, self.preprocessor = shadow, preprocessor
        self._names = [window.name for window in shadow.running.revision.pipeline.windows]
        self.episodes = Episodes(preprocessor.entities, shadow.policy(partitions), self._names)
        self._under_way: list[_UnderWay] = []
        self._ours: dict[str, dict[_Place, tuple[int, float]]] = {name: {} for name in self._names}
        """By window: slot and score of the stable revision's that have no pair yet."""
        self._theirs: dict[str, dict[_Place, float]] = {name: {} for name in self._names}

    def evidence(self) -> RevisionEvidence:
        """What the operator is told: how many entities have not been scored yet, and what they take, too."""
        found, entities = self.shadow.evidence(), self.preprocessor.entities
        warming = len(entities) - int(np.count_nonzero(self.episodes.scored))
        return found.model_copy(update={"memory": found.memory + entities.used, "warming": warming})

    def adopt(self, partitions: int) -> None:
        """The topic has more partitions."""
        self.episodes.adopt(self.shadow.policy(partitions), self._names)

    def begin(self, messages: Messages, rejects: Sequence[Reject], executor: Executor) -> None:
        """Takes in a batch behind the stable revision, and begins to score it. Whose time that refused is refused here, too."""
        refused = [reject.row for reject in rejects if reject.reason is DeadLetterReason.FUTURE_TIME]
        try:
            parsed = self.preprocessor.decode(messages, refused)
            for portion in self.preprocessor.micro_batches(parsed.batch):
                taken = self.preprocessor.process(portion, messages.headers)
                full = [window for window in taken.windows if len(window.slots)]
                work = self.shadow.score(full, taken.levels, executor)
                self._under_way.append(_UnderWay(messages, taken, list(zip(full, work, strict=False))))
                if portion.leaving:  # who has left has no name when that is asked for later
                    self._settle()
        except Exception as error:  # noqa: BLE001 - however it fails, the stable revision goes on
            self.shadow.fail(f"{type(error).__name__}: {error}")

    def stable(self, ours: Mapping[str, ScoredWindows], entities: Entities, walked: Processed) -> None:
        """What the stable revision made of a portion."""
        self.shadow.count_episodes(stable=walked.opened_in)
        for name, each in ours.items():
            if name in self._ours:
                waiting, window = self._ours[name], each.window
                slots, times = window.slots.tolist(), window.times.tolist()
                for slot, time, score in zip(slots, times, each.scores.values.tolist(), strict=True):
                    waiting[entities.partitions[slot], entities.names[slot], time] = slot, score

    def finish(self, above: float) -> None:
        """Waits for the candidate's scores, and counts; `above`: from which score on the stable revision opens an episode."""
        try:
            self._settle()
        except Exception as error:  # noqa: BLE001 - as above
            self.shadow.fail(f"{type(error).__name__}: {error}")
        for name in self._names:
            self._pair(name, above)

    def _settle(self) -> None:
        waiting, self._under_way = self._under_way, []
        for each in waiting:
            scored = self.shadow.take(self.episodes, [window for window, _ in each.asked], [work for _, work in each.asked])
            if scored is not None:
                self._take(each, scored)

    def _take(self, each: _UnderWay, scored: Mapping[str, ScoredWindows]) -> None:
        rows, entities = each.taken.readings.rows, self.preprocessor.entities
        self.shadow.note(self.episodes.observe([one.kind(rows) for one in scored.values()], each.messages.partitions))
        for name, one in scored.items():
            waiting, window = self._theirs[name], one.window
            places = zip(window.slots.tolist(), window.times.tolist(), one.scores.values.tolist(), strict=True)
            for slot, time, score in places:
                waiting[entities.partitions[slot], entities.names[slot], time] = score

    def _pair(self, name: str, above: float) -> None:
        ours, theirs = self._ours[name], self._theirs[name]
        few, many = (ours, theirs) if len(ours) < len(theirs) else (theirs, ours)
        both = sorted((place[0], place[1], place[2]) for place in few if place in many)
        if both:
            stable, candidate = [ours.pop(place) for place in both], [theirs.pop(place) for place in both]
            slots: Int64 = np.array([slot for slot, _ in stable], np.int64)
            times = np.array([time for _, _, time in both], np.int64)
            first = np.array([score for _, score in stable], np.float32)
            self.shadow.pair(name, slots, times, (first, above), np.array(candidate, np.float32))
        for waiting in (ours, theirs):
            for place in list(waiting)[: max(0, len(waiting) - _MOST_WAITING)]:
                del waiting[place]
