"""A feature that readings do not have any more: its field was renamed, or its producers are gone. Judged from the pods' evidence.

A feature that is sent seldom is not missing in between: three of its own mean gaps are no absence.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from anomaly_api.evidence import DetectorEvidence, FeatureEvidence

ABSENCE: Final = 30.0
"""Seconds without a reading that has it after which a feature is said to be missing: with all else, within a minute."""
_ENOUGH: Final = 3
_ENOUGH_FOR_A_PACE: Final = 10
_PART_RENAMED: Final = 0.1
"""Share of the readings that have another field of similar name in its place: part of the producers have been upgraded."""


class MissingFeature(NamedTuple):
    """A feature that is missing."""

    name: str
    field: str
    share: float
    """Of the readings of the last minute that lacked it."""
    likely: str
    """Its new name, perhaps."""

    @property
    def sentence(self) -> str:
        """For people."""
        how = f"{self.share:.0%} of the last minute's readings lack the feature {self.name} (field {self.field})"
        if self.likely:
            return (
                f"{how} and have a field {self.likely}, which is new: if it was renamed, set the feature's field to it, "
                "or correct the producers; until then the feature is not watched"
            )
        return f"{how}: correct the producers, or the feature's field; until then it is not watched"


def missing_feature(evidence: Sequence[DetectorEvidence], ages: Mapping[str, float]) -> MissingFeature | None:
    """The first feature that is missing. `ages`: of the pods, in seconds, by name."""
    looking = [each for each in evidence if each.presence.sampled]
    sampled = sum(each.presence.sampled for each in looking)
    for name in dict.fromkeys(feature.name for each in looking for feature in each.presence.features):
        found = [(each, feature) for each in looking for feature in each.presence.features if feature.name == name]
        lacking = sum(feature.lacking for _, feature in found)
        likely = next((feature.likely for _, feature in found if feature.likely), "")
        gone = len(found) == len(looking) and all(_gone(each, feature, ages.get(each.pod, 0.0)) for each, feature in found)
        if lacking >= _ENOUGH and (gone or (likely and lacking >= _PART_RENAMED * sampled)):
            return MissingFeature(name, found[0][1].field, lacking / sampled, likely)
    return None


def _gone(evidence: DetectorEvidence, feature: FeatureEvidence, age: float) -> bool:
    """Whether a pod has not seen a feature for longer than is usual. Clocks of two machines are never compared."""
    since = age if feature.last_seen is None else evidence.now - feature.last_seen
    own_pace = 3 * age / feature.seen if feature.seen >= _ENOUGH_FOR_A_PACE else 0.0
    return since >= max(ABSENCE, own_pace)
