"""A model that runs: the graphs of a verified artifact. It fetches nothing and knows no threshold."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from anomaly_api.alert import ScorerKind
from anomaly_api.drift import DriftReference
from anomaly_api.evidence import RevisionFailure
from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import Float32, Int64, Mask
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.artifact import ArtifactError, InvalidArtifactError, ModelArtifact
from anomaly_detector.core.scoring.executor import Executor
from anomaly_detector.core.scoring.graphs import BadGraphError, Graphs


class InterfaceMismatchError(ArtifactError):
    """The artifact is sound, and made for other readings."""

    failure = RevisionFailure.INTERFACE_MISMATCH


class ScoringModel(Protocol):
    """What scores windows: in this process, or in one of its own. Errors are ScoringError."""

    @property
    def digest(self) -> str:
        """Of its artifact."""

    @property
    def kind(self) -> ScorerKind:
        """What alerts say of it."""

    @property
    def reference(self) -> DriftReference | None:
        """What drift is told against; None: nothing is."""

    @property
    def executor(self) -> Executor | None:
        """Where it is asked; None: wherever its caller likes."""

    @property
    def memory(self) -> int:
        """Bytes that it takes beside this process."""

    def score(self, window: WindowBatch) -> Float32:
        """[n] How unusual each window is, in the model's own scale; see `Graphs.score`."""

    def explain(self, window: str, values: Float32, times: Int64) -> tuple[Float32, Float32]:
        """Errors of single features and what was expected, for a few windows; see `Graphs.explain`."""


class Model:
    """Scores windows in this process."""

    executor: Executor | None = None
    memory = 0

    def __init__(self, artifact: ModelArtifact, pipeline: Pipeline) -> None:
        """Raises InterfaceMismatchError when it is made for another pipeline, InvalidArtifactError when a graph does not run."""
        sizes = matched(artifact, pipeline)
        self.digest = artifact.digest
        self.reference = artifact.manifest.drift
        self.kind = kind_of(artifact)
        try:
            self._graphs = Graphs(artifact.graphs, sizes, len(pipeline.features))
        except BadGraphError as error:
            raise InvalidArtifactError(str(error)) from error

    def score(self, window: WindowBatch) -> Float32:
        """[n] How unusual each window is, in the model's own scale; not a number where its entity's scale is not known yet."""
        values, known = window.shown
        return without(self._graphs.score(window.name, values, window.times), known)

    def explain(self, window: str, values: Float32, times: Int64) -> tuple[Float32, Float32]:
        """[n, features] Errors of single features and [n, features] what was expected of the newest reading."""
        return self._graphs.explain(window, values, times)


def without(scores: Float32, known: Mask | None) -> Float32:
    """[n] The scores where `known` holds; None: it holds everywhere."""
    return scores if known is None else np.where(known, scores, np.float32(np.nan))


def kind_of(artifact: ModelArtifact) -> ScorerKind:
    """What alerts say of the model."""
    return artifact.manifest.trained.kind if artifact.manifest.trained else ScorerKind.IMPORTED


def matched(artifact: ModelArtifact, pipeline: Pipeline) -> Mapping[str, int]:
    """Sizes of the pipeline's windows, if the artifact is made for them. Raises InterfaceMismatchError."""
    interface = artifact.manifest.interface
    wanted = [feature.name for feature in pipeline.features]
    if list(interface.features) != wanted:
        raise InterfaceMismatchError(
            f"the model takes the features {', '.join(interface.features)} and the detector has {', '.join(wanted)}, in this "
            "order: use another model or change spec.features"
        )
    sizes = {window.name: window.size for window in interface.windows}
    for window in pipeline.windows:
        if sizes.get(window.name) != window.size:
            raise InterfaceMismatchError(
                f"the model has no window {window.name} of {window.size} readings; it has "
                f"{', '.join(f'{name} of {size}' for name, size in sizes.items())}: use another model or change spec.windows"
            )
    return {window.name: window.size for window in pipeline.windows}
