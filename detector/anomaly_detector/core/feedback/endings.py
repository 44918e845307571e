"""Episodes that end because of what people said: those that somebody calls normal, and what that held back, with another model.

Which they are is `acceptance`'s; here they are ended, and told. A function of what is remembered of one partition.
"""

from collections.abc import Iterable

from msgspec import Struct

from anomaly_api.alert import EpisodeReason
from anomaly_detector.core.alerts.alert import Alert
from anomaly_detector.core.configuration import Deciders, decides_otherwise
from anomaly_detector.core.entities.table import Entities
from anomaly_detector.core.episodes.closures import closing, closing_alert
from anomaly_detector.core.episodes.episode import Episode
from anomaly_detector.core.episodes.table import Episodes
from anomaly_detector.core.feedback.acceptance import Acceptances


class Endings(Struct, frozen=True):
    """Of the episodes that people are told of."""

    source: str
    """CloudEvents source: the detector."""
    entities: Entities
    episodes: Episodes

    def accepted(self, partition: int, said: Acceptances, deciders: Deciders) -> list[Alert]:
        """Ends the open episodes of a partition of which somebody said that this is normal now; what is to be told."""
        names, partitions = self.entities.names, self.entities.partitions
        ended = [
            (slot, window, episode)
            for slot, window, episode in self.episodes.open_ones()
            if partitions[slot] == partition and said.concern(self.source, names[slot], window, episode.start, episode.seen)
        ]
        found = self._told(ended, deciders)
        for slot, window, _ in ended:
            self.episodes.accept(slot, window)
        return found

    def renounced(self, partition: int, before: Deciders, after: Deciders) -> list[Alert]:
        """Where another model decides than before: what people said of its scores counts no longer. What is to be told."""
        if not any(decides_otherwise(one, other) for one in before.deciding for other in after.deciding):
            return []
        known = self.entities.known(partition).items()
        concerned = {slot for entity, slot in known if decides_otherwise(before.of(entity), after.of(entity))}
        return self._told(self.episodes.renounce(concerned), before)

    def _told(self, ended: Iterable[tuple[int, str, Episode]], deciders: Deciders) -> list[Alert]:
        names = self.entities.names
        return [
            closing_alert(self.source, decider, closing(names[slot], window, each, EpisodeReason.ACCEPTED))
            for slot, window, each in ended
            if each.recorded and window in (decider := deciders.of(names[slot])).thresholds
        ]
