"""A fitted scorer as an ONNX graph, checked against torch. It fits nothing."""

import logging
import warnings
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from anomaly_detector.core.scoring.graphs import GRAPH_INPUT, GRAPH_OUTPUTS, GRAPH_TIMES
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.models.kind import Scorer

OPSET: Final = 18
TOLERANCE: Final = 1e-5
_MOST_WINDOWS: Final = 2**31 - 1
"""In one call. Without a bound, torch before 2.7 finds a size that does not fit and settles for the example's."""
_CHUNK: Final = 4096
_LARGEST_BATCH: Final = 1 << 24


class Graph:
    """An ONNX graph, and what it makes of windows on one thread of ONNX Runtime, as in the detector."""

    opset = OPSET

    def __init__(self, content: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.content = content
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

        self.timed = any(given.name == GRAPH_TIMES for given in self._session.get_inputs())
        """Whether it has the windows' times as a second input."""

    def run(self, windows: NDArray[np.float32], times: NDArray[np.int64] | None = None) -> list[NDArray[np.float32]]:
        """Score [n], feature errors [n, features] and, where it has it, expected reading [n, features].

        Of `windows` [n, size, features] whose newest readings are of `times` [n], microseconds.
        """
        given: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {GRAPH_INPUT: windows}
        if self.timed:
            given[GRAPH_TIMES] = np.zeros(len(windows), np.int64) if times is None else times
        outputs: list[NDArray[np.float32]] = self._session.run(None, given)
        return outputs

    def scores(self, windows: NDArray[np.float32], times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Scores [n]."""
        found = np.empty(len(windows))
        for start in range(0, len(windows), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            found[chunk] = self.run(windows[chunk], times[chunk])[0]
        return found


def export(scorer: Scorer, sample: NDArray[np.float32], times: NDArray[np.int64] | None = None) -> Graph:
    """The ONNX graph of `scorer`, weights inside; checked on `sample` [n, size, features] of `times` [n].

    Raises TrainingError when ONNX Runtime and torch differ by more than `TOLERANCE`, relative to the size of the values.
    """
    times = np.zeros(len(sample), np.int64) if times is None else times
    example = [_pair(sample), _pair(times)][: 2 if scorer.timed else 1]
    batch = torch.export.Dim("n", min=1, max=_LARGEST_BATCH)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            scorer,
            tuple(example),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=[GRAPH_INPUT, GRAPH_TIMES][: len(example)],
            output_names=list(GRAPH_OUTPUTS[: 3 if scorer.expects else 2]),
            # bounded: torch 2.6 takes an unbounded batch for a fixed one, because of a guard against the largest integer
            dynamic_shapes=[{0: batch}] * len(example),
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    model = program.model_proto
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    graph = Graph(model.SerializeToString(deterministic=True))
    difference = difference_to_torch(graph, scorer, sample, times)
    if not difference <= TOLERANCE:
        raise TrainingError(
            f"the exported graph differs from the network by {difference:.2g} (allowed {TOLERANCE:.0e}): "
            "the versions of torch, onnxscript and onnxruntime do not fit together; use the trainer image of this release"
        )
    return graph


def _pair(values: NDArray[Any]) -> torch.Tensor:
    """Two of them: an example of one would be taken for a fixed size."""
    return torch.from_numpy(values[:2].copy() if len(values) > 1 else np.repeat(values, 2, axis=0))


def _strip(model: onnx.ModelProto) -> None:
    """Without the exporter's notes: source lines and stack traces of the machine that trained, which only make it larger."""
    graph = model.graph
    parts: tuple[Any, ...] = (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for item in parts:
        item.doc_string = ""
        if hasattr(item, "metadata_props"):
            del item.metadata_props[:]
    del model.metadata_props[:]
    del model.graph.metadata_props[:]


def difference_to_torch(
    graph: Graph, scorer: Scorer, sample: NDArray[np.float32], times: NDArray[np.int64] | None = None
) -> float:
    """Largest difference between ONNX Runtime and torch on `sample`, relative to the largest value of each column.

    Columns with small values are held to the unit that scorers compute in: a score or error of 1, a feature's own range.
    """
    sample = sample[:_CHUNK]
    times = np.zeros(len(sample), np.int64) if times is None else times[:_CHUNK]
    found = graph.run(sample, times)
    with torch.no_grad():
        given = [torch.from_numpy(sample), torch.from_numpy(times)]
        meant = [output.numpy() for output in scorer(*given[: 2 if scorer.timed else 1])]
    units: list[Any] = [1.0, 1.0, scorer.spread.numpy()]
    worst = 0.0
    for there, here, unit in zip(found, meant, units[: len(meant)], strict=True):
        if there.shape != here.shape or not np.isfinite(there).all():
            return float("inf")
        scale = np.maximum(np.abs(here).max(axis=0), unit)
        worst = max(worst, float((np.abs(there - here).max(axis=0) / scale).max()))
    return worst
