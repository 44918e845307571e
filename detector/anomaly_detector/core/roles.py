"""The revisions that a pod has been given, and in which role each runs: stable, candidate, or not at all. It takes no reading."""

from anomaly_api.evidence import RevisionEvidence
from anomaly_detector.core.composition import composed
from anomaly_detector.core.configuration import Configuration
from anomaly_detector.core.entities.quota import MemoryQuota
from anomaly_detector.core.scoring.revisions import Clock, LoadedRevision, RunningRevision
from anomaly_detector.core.scoring.sharing import why_apart
from anomaly_detector.core.shadow import Shadow, Terms


class Roles:
    """Changes between two batches only."""

    def __init__(self, source: str, loaded: LoadedRevision, quota: MemoryQuota | None, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self.quota = quota
        self.stable = RunningRevision(source, loaded, clock)
        self.shadow: Shadow | None = None
        """The candidate, if there is one that can be compared."""
        self._rejected: RevisionEvidence | None = None
        """A candidate that cannot."""
        self._every_reading = self.stable.wants_levels
        """Whether the baseline learns from every reading: where no model decides, and from the first failure of one on."""

    @property
    def candidate(self) -> RevisionEvidence | None:
        """What the operator is told of the candidate."""
        return self.shadow.evidence() if self.shadow is not None else self._rejected

    def configured(self) -> Configuration:
        """What is to decide the readings of the next batch, and how they are taken in."""
        return composed(self.stable, self.shadow, self.quota, sparingly=not self._every_reading)

    def look(self) -> bool:
        """Whether a model has failed in the batch before, and the baseline learns from every reading from now on."""
        failed = self.stable.wants_levels and not self._every_reading
        self._every_reading = self._every_reading or failed
        return failed

    def adopt(self, loaded: LoadedRevision, candidate: LoadedRevision | None, terms: Terms) -> None:
        """Gives the roles to others."""
        before = self.stable
        if before.loaded != loaded:
            self.stable = RunningRevision(self._source, loaded, self._clock)
            self._every_reading = self.stable.wants_levels
            if before.revision == loaded.revision:  # its model loaded meanwhile
                self.stable.count_on(before)
        known = self.shadow
        self._adopt_candidate(candidate, terms)
        if known is not None and known is not self.shadow:
            known.detach()

    def _adopt_candidate(self, candidate: LoadedRevision | None, terms: Terms) -> None:
        """A candidate that is compared already goes on, with what is counted of it."""
        before, self.shadow, self._rejected = self.shadow, None, None
        if candidate is None or candidate.revision == self.stable.revision:
            return
        if candidate.failure is not None:
            name, failure, message = candidate.revision.name, candidate.failure, candidate.message
            self._rejected = RevisionEvidence(
                revision=name, role="candidate", loaded=False, failure=failure, message=message, rollout=terms.rollout
            )
            return
        apart = why_apart(self.stable.revision, candidate.revision, every_reading=self._every_reading)
        if before is not None and before.continues(candidate, self.stable.name, terms, apart):
            self.shadow, before.terms = before, terms
        else:
            running = RunningRevision(self._source, candidate, self._clock)
            self.shadow = Shadow(running, self.stable.name, terms, apart)
