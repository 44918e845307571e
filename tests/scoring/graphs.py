"""Small artifacts for tests: graphs whose scores can be computed by hand."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from anomaly_api.calibration import Calibration, Quantile
from anomaly_api.model import Interface, InterfaceWindow
from anomaly_api.source import Pipeline, Window
from anomaly_detector.core.scoring.artifact import Manifest, artifact_digest, pack


def distance_graph(
    window: Window,
    features: int,
    center: float = 0.0,
    *,
    divide_by_zero: bool = False,
    over_batch: bool = False,
    batch: int | str = "n",
    most: int = 2**31 - 1,
) -> bytes:
    """Score: mean squared distance of all values from `center`, or `over_batch` from all windows' mean.

    `batch` is the number of windows that go in as the graph declares it; scores of so many windows as `most` come out.
    """
    axes = {"rows": [1], "first": [0], "most": [most]}
    share = np.full((window.size * features, 1), 1 / (window.size * features), np.float32)
    numbers = {"center": center, "zero": 0.0, "one": 1.0}
    constants = [numpy_helper.from_array(np.array(number, np.float32), name) for name, number in numbers.items()]
    nodes = [
        helper.make_node("Sub", ["windows", "beside" if over_batch else "center"], ["error"]),
        helper.make_node("Mul", ["error", "error"], ["squared"]),
        helper.make_node("Flatten", ["squared"], ["flat"]),
        helper.make_node("MatMul", ["flat", "share"], ["column"]),
        helper.make_node("Squeeze", ["column", "rows"], ["mean"]),
        helper.make_node("Div", ["mean", "zero" if divide_by_zero else "one"], ["scores"]),
        helper.make_node("Slice", ["scores", "first", "most"], ["score"]),
        helper.make_node("ReduceMean", ["squared", "rows"], ["feature_errors"], keepdims=0),
        helper.make_node("Mul", ["feature_errors", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "center"], ["expected"]),
    ]
    if over_batch:
        nodes.insert(0, helper.make_node("ReduceMean", ["windows", "first"], ["beside"], keepdims=1))

    def tensor(name: str, *shape: int | str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    outputs = [tensor("score", "m"), tensor("feature_errors", "n", features), tensor("expected", "n", features)]
    graph = helper.make_graph(
        nodes,
        "distance",
        [tensor("windows", batch, window.size, features)],
        outputs,
        [
            *(numpy_helper.from_array(np.array(axis, np.int64), name) for name, axis in axes.items()),
            *constants,
            numpy_helper.from_array(share, "share"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def archive(pipeline: Pipeline, graphs: dict[str, bytes] | None = None, center: float = 0.0) -> tuple[str, bytes]:
    """Digest and bytes of an artifact for a pipeline."""
    features = [feature.name for feature in pipeline.features]
    made = graphs or {window.name: distance_graph(window, len(features), center) for window in pipeline.windows}
    calibration = [
        Calibration(
            window=window.name,
            windows=100,
            entity_seconds=100.0,
            mean=1.0,
            standard_deviation=0.1,
            maximum=2.0,
            quantiles=[Quantile(level=0.0, score=0.0), Quantile(level=1.0, score=2.0)],
            peaks=[2.0],
        )
        for window in pipeline.windows
    ]
    windows = [InterfaceWindow(name=window.name, size=window.size) for window in pipeline.windows]
    manifest = Manifest(interface=Interface(features=features, windows=windows, opset=18), calibration=calibration)
    packed = pack(manifest, made)
    return artifact_digest(packed), packed
