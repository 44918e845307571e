"""A graph whose network has int8 weights and activations in place of float32; scaling, errors and scores stay as they are.

Static quantization (Jacob et al. 2018): ranges come from healthy windows, once. With dynamic ranges a score would depend on the
windows beside it. Weights have seven bits: with eight, processors without VNNI saturate where others do not, and the same
revision would score differently from node to node.
"""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from anomaly_detector.core.scoring.graphs import GRAPH_INPUT, GRAPH_TIMES
from anomaly_detector.training.export import Graph
from anomaly_detector.training.failures import TrainingError

TOLERANCE: Final = 0.1
"""Largest change of a score beside the largest score of healthy windows."""
_OPERATORS: Final = ("MatMul", "Gemm", "Conv")
_MOST_WINDOWS: Final = 2048
_AT_ONCE: Final = 256


class _Windows(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Healthy windows, some at a time."""

    def __init__(self, windows: NDArray[np.float32], times: NDArray[np.int64] | None) -> None:
        """`times` of graphs that want them."""
        parts = [slice(start, start + _AT_ONCE) for start in range(0, len(windows), _AT_ONCE)]
        self._parts: Iterator[dict[str, Any]] = (
            {GRAPH_INPUT: windows[part]} | ({} if times is None else {GRAPH_TIMES: times[part]}) for part in parts
        )

    def get_next(self) -> dict[str, Any] | None:
        return next(self._parts, None)


def quantized(graph: Graph, healthy: NDArray[np.float32], times: NDArray[np.int64] | None = None) -> Graph:
    """The int8 graph, ranges from `healthy` [n, size, features], whose newest readings are of `times` [n].

    Raises TrainingError where there is no network in it, or where scores would change by more than `TOLERANCE`.
    """
    model = onnx.load_from_string(graph.content)
    nodes = [node.name for node in model.graph.node if node.op_type in _OPERATORS and _learned(node)]
    if not nodes:
        raise TrainingError(
            "model.quantization Int8 is for networks and components, and this kind has neither: leave it out, or choose "
            "autoencoder, pca, or an ensemble of them"
        )
    some = slice(None, None, max(1, len(healthy) // _MOST_WINDOWS))
    healthy, times = healthy[some], np.zeros(len(healthy), np.int64)[some] if times is None else times[some]
    logging.getLogger("root").setLevel(logging.WARNING)  # onnxruntime recommends a pre-processing that the exporter has done
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph.content)
        quantize_static(
            str(source),
            str(target),
            _Windows(healthy, times if graph.timed else None),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(_OPERATORS),
            nodes_to_quantize=nodes,
            reduce_range=True,
        )
        found = Graph(onnx.load(str(target)).SerializeToString(deterministic=True))
    before, after = graph.scores(healthy, times), found.scores(healthy, times)
    change = float(np.abs(after - before).max() / max(before.max(), 1e-12))
    if not change <= TOLERANCE:
        raise TrainingError(
            f"with Int8, scores of healthy windows change by {change:.0%} of the largest (allowed {TOLERANCE:.0%}): leave out "
            "model.quantization, or give the network more layers to choose from"
        )
    return found


def _learned(node: onnx.NodeProto) -> bool:
    """Whether a node multiplies by weights of the network. The principal components that dense autoencoders stand on stay as they
    are: rounded, their error would drown what the layers around them add.
    """
    return any("network." in each and "network.linear." not in each for each in node.input)
