"""A model that runs: the graphs of a verified artifact in ONNX Runtime. It fetches nothing and knows no threshold.

The detector is deterministic as far as its graphs are. A graph should add up the error with MatMul: ReduceMean and ReduceSum over
the last axis add in an order that depends on the place in memory, so the last bit of a score would depend on its batch.
"""

from typing import Final

import numpy as np
import onnxruntime

from anomaly_api.alert import ScorerKind
from anomaly_api.evidence import RevisionFailure
from anomaly_api.source import Pipeline
from anomaly_detector.core.columns import Float32
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.artifact import GRAPH_INPUT, GRAPH_OUTPUTS, ArtifactError, InvalidArtifactError, ModelArtifact

_NUMBERS_AT_ONCE: Final = 150_000
"""Numbers of windows in one run. Runs beside something else (`adapters/beside.py`) should be few: after each the thread waits for
Python's lock. Larger ones do not fit into the processor's second cache, and take four times as much memory in all."""
_LEAST_AT_ONCE: Final = 512
"""Windows in one run, however wide they are."""
_SCORE: Final = GRAPH_OUTPUTS[0]
_REASONS: Final = list(GRAPH_OUTPUTS[1:])
_RUNTIME_ERRORS: Final = tuple(
    getattr(onnxruntime.capi.onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)


class InterfaceMismatchError(ArtifactError):
    """The artifact is sound, and made for other readings."""

    failure = RevisionFailure.INTERFACE_MISMATCH


class ScoringError(Exception):
    """The model could not score a window; the message says why."""


class Model:
    """Scores windows."""

    def __init__(self, artifact: ModelArtifact, pipeline: Pipeline) -> None:
        """Raises InterfaceMismatchError when it is made for another pipeline, InvalidArtifactError when a graph does not run."""
        _match(artifact, pipeline)
        self.digest = artifact.digest
        self.kind = ScorerKind.AUTOENCODER if artifact.manifest.trained else ScorerKind.IMPORTED
        self._sessions = {window.name: _session(window.name, artifact.graphs[window.name]) for window in pipeline.windows}
        for window in pipeline.windows:
            self._try(window.name, np.zeros((2, window.size, len(pipeline.features)), np.float32))

    def score(self, window: WindowBatch) -> Float32:
        """[n] Mean squared error of each window, in the model's own scale. Raises ScoringError."""
        session, values = self._sessions[window.name], window.values
        at_once = max(_LEAST_AT_ONCE, _NUMBERS_AT_ONCE // (values.shape[1] * values.shape[2]))
        if len(values) % at_once == 1:
            values = np.concatenate([values, values[-1:]])  # a lone window goes other ways in ONNX Runtime, to other last bits
        try:
            parts = [
                session.run([_SCORE], {GRAPH_INPUT: values[start : start + at_once]})[0]
                for start in range(0, len(values), at_once)
            ]
        except _RUNTIME_ERRORS as error:
            raise ScoringError(f"window {window.name}: the graph failed: {_first_line(error)}") from error
        scores: Float32 = np.concatenate(parts)[: len(window.slots)] if parts else np.empty(0, np.float32)
        if not np.isfinite(scores).all():
            raise ScoringError(f"window {window.name}: the graph gave a score that is not finite")
        return scores

    def explain(self, window: str, values: Float32) -> tuple[Float32, Float32]:
        """[n, features] Errors of single features and [n, features] what was expected of the newest reading, for a few windows.

        One by one, so that no last bit depends on the windows beside it. Raises ScoringError.
        """
        session = self._sessions[window]
        try:
            found = [session.run(_REASONS, {GRAPH_INPUT: values[place : place + 1]}) for place in range(len(values))]
        except _RUNTIME_ERRORS as error:
            raise ScoringError(f"window {window}: the graph failed: {_first_line(error)}") from error
        return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])

    def _try(self, window: str, values: Float32) -> None:
        """A graph that does not run, or gives other shapes, is found before it decides anything."""
        try:
            score, errors, expected = self._sessions[window].run(list(GRAPH_OUTPUTS), {GRAPH_INPUT: values})
        except (*_RUNTIME_ERRORS, ValueError) as error:
            raise InvalidArtifactError(f"the graph of window {window} does not run: {_first_line(error)}") from error
        count, width = len(values), values.shape[2]
        if score.shape != (count,) or errors.shape != (count, width) or expected.shape != (count, width):
            raise InvalidArtifactError(f"the graph of window {window} gives outputs of other shapes than its interface")


def _session(window: str, graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a second thread costs more than it gives on small graphs
    options.enable_mem_pattern = False  # batches differ in size
    options.log_severity_level = 4  # errors come as exceptions, which say more than its log
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _RUNTIME_ERRORS as error:
        raise InvalidArtifactError(f"the graph of window {window} does not load: {_first_line(error)}") from error


def _match(artifact: ModelArtifact, pipeline: Pipeline) -> None:
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


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
