"""Graphs that run: a model's windows in ONNX Runtime, from arrays to arrays. It knows no archive, and no contract.

Whoever scores in a process of its own (`adapters/confinement`) imports this and nothing larger.

The detector is deterministic as far as its graphs are. A graph should add up the error with MatMul: ReduceMean and ReduceSum over
the last axis add in an order that depends on the place in memory, so the last bit of a score would depend on its batch.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnxruntime

from anomaly_detector.core.columns import Float32, Int64

GRAPH_INPUT: Final = "windows"
GRAPH_TIMES: Final = "times"
GRAPH_OUTPUTS: Final = ("score", "feature_errors", "expected")
_NUMBERS_AT_ONCE: Final = 150_000
"""Numbers of windows in one run. Runs beside something else (`adapters/executor.py`) should be few: after each the thread waits
for Python's lock. Larger ones do not fit into the processor's second cache, and take four times as much memory in all."""
_LEAST_AT_ONCE: Final = 512
"""Windows in one run, however wide they are."""
_SCORE: Final = GRAPH_OUTPUTS[0]
_ERRORS: Final = GRAPH_OUTPUTS[1]
_EXPECTED: Final = GRAPH_OUTPUTS[2]
RUNTIME_ERRORS: Final[tuple[type[Exception], ...]] = (
    ValueError,
    RuntimeError,
    *(
        error
        for error in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
        if isinstance(error, type) and issubclass(error, Exception)
    ),
)
"""ONNX Runtime's exceptions have no base class of their own."""
_TRIAL_BATCHES: Final = (1, 2, 5)
"""Windows in the runs of the trial. Graphs that were exported with a fixed number of windows take one of these at most."""
_TRIAL_TOLERANCE: Final = 1e-2
"""Relative: far above what the order of a sum makes of float32, far below what a score says."""
_LARGEST: Final = float(np.finfo(np.float32).max)


class ScoringError(Exception):
    """The model could not score a window; the message says why."""

    failure = "ScoringFailed"
    """A `RevisionFailure`."""


class BadGraphError(Exception):
    """A graph that does not load or does not run; the message says which one and why."""


class Graphs:
    """The graphs of a model, by window."""

    def __init__(self, graphs: Mapping[str, bytes], sizes: Mapping[str, int], features: int) -> None:
        """`sizes`: readings of each window that is scored. Raises BadGraphError."""
        self._sessions = {window: _session(window, graphs[window]) for window in sizes}
        for window, size in sizes.items():
            self._try(window, size, features)

    def score(self, window: str, values: Float32, times: Int64) -> Float32:
        """[n] How unusual each window is, in the model's own scale; `values` [n, size, features], `times` [n].

        An error beyond float32 is the largest float32. A score that is no number is of that window alone: it stays NaN.
        Raises ScoringError where the graph fails as a whole.
        """
        count = len(values)
        at_once = max(_LEAST_AT_ONCE, _NUMBERS_AT_ONCE // (values.shape[1] * values.shape[2]))
        if len(values) % at_once == 1:
            # a lone window goes other ways in ONNX Runtime, to other last bits
            values, times = np.concatenate([values, values[-1:]]), np.concatenate([times, times[-1:]])
        starts = range(0, len(values), at_once)
        parts = [
            self._run(window, [_SCORE], values[start : start + at_once], times[start : start + at_once])[0] for start in starts
        ]
        scores: Float32 = np.concatenate(parts)[:count] if parts else np.empty(0, np.float32)
        return np.clip(scores, -_LARGEST, _LARGEST)

    def explain(self, window: str, values: Float32, times: Int64) -> tuple[Float32, Float32]:
        """[n, features] Errors of single features and [n, features] what was expected of the newest reading, for a few windows.

        Of a model that has no expected readings these are not numbers. One by one, so that no last bit depends on the windows
        beside it. Raises ScoringError.
        """
        wanted = _reasons(self._sessions[window])
        found = [self._run(window, wanted, values[at : at + 1], times[at : at + 1]) for at in range(len(values))]
        errors = np.nan_to_num(np.concatenate([each[0] for each in found]), posinf=_LARGEST, neginf=0.0)
        if len(wanted) == 1:
            return errors, np.full_like(errors, np.nan)
        expected = np.concatenate([each[1] for each in found])
        known = np.isfinite(expected)  # alerts are JSON, which has finite numbers only
        return errors, np.where(known, expected, values[:, -1])

    def _run(self, window: str, outputs: list[str], values: Float32, times: Int64) -> list[Float32]:
        """One run of a graph; its outputs have the shapes and the type of the interface. Raises ScoringError."""
        try:
            session = self._sessions[window]
            found = session.run(outputs, _given(session, values, times))
        except RUNTIME_ERRORS as error:
            raise ScoringError(f"window {window}: the graph failed: {_first_line(error)}") from error
        for name, output in zip(outputs, found, strict=True):
            wanted = (len(values),) if name == _SCORE else (len(values), values.shape[2])
            shape, kind = getattr(output, "shape", None), getattr(output, "dtype", None)
            if shape != wanted or kind != np.float32:
                raise ScoringError(
                    f"window {window}: for {len(values)} windows the graph gave the output {name} as {kind} {shape} and not as "
                    f"float32 {wanted}: export it with a dynamic number of windows"
                )
        outputs_found: list[Float32] = found
        return outputs_found

    def _try(self, window: str, size: int, features: int) -> None:
        """Finds a graph that does not run before it decides anything, whatever the number of windows in a batch.

        Raises BadGraphError. A score may not depend on the windows beside it, for how a stream is cut is chance.
        """
        most = max(_TRIAL_BATCHES)
        values = np.sin(np.arange(most * size * features, dtype=np.float32)).reshape(most, size, features)
        try:
            wanted, times = [_SCORE, *_reasons(self._sessions[window])], np.zeros(most, np.int64)
            scores = [self._run(window, wanted, values[:count], times[:count])[0] for count in _TRIAL_BATCHES]
        except ScoringError as error:
            raise BadGraphError(f"the graph does not run: {error}") from error
        for alone in scores[:-1]:
            if not np.allclose(alone, scores[-1][: len(alone)], rtol=_TRIAL_TOLERANCE, atol=0.0, equal_nan=True):
                raise BadGraphError(
                    f"the graph of window {window} gives a window another score when other windows are beside it: export it for "
                    "inference, without random numbers and without normalizing over the batch"
                )


def _reasons(session: onnxruntime.InferenceSession) -> list[str]:
    """Outputs that explain a score: feature errors, and the expected reading where the model has it."""
    return [_ERRORS, *(output.name for output in session.get_outputs() if output.name == _EXPECTED)]


def _given(session: onnxruntime.InferenceSession, values: Float32, times: Int64) -> dict[str, Float32 | Int64]:
    """What the graph is run with: it may want the windows' times."""
    if len(session.get_inputs()) == 1:
        return {GRAPH_INPUT: values}
    return {GRAPH_INPUT: values, GRAPH_TIMES: times}


def _session(window: str, graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a second thread costs more than it gives on small graphs
    options.enable_mem_pattern = False  # batches differ in size
    options.log_severity_level = 4  # errors come as exceptions, which say more than its log
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise BadGraphError(f"the graph of window {window} does not load: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
