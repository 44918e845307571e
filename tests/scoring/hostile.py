"""Graphs that nobody should run in a process that has something to lose: some take for ever, some take memory without end."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from anomaly_api.source import Window

TRIGGER = 1000.0
"""A window whose newest first value is above this one sets the graph off."""


def slow_graph(window: Window, features: int) -> bytes:
    """Adds up 2^25 zeros one by one once it is set off: it ends, but nobody waits for that. Graphs without an end are refused."""
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "each"], ["sum_on"])],
        "body",
        [
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("each", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("sum_on", TensorProto.FLOAT, [])],
    )
    nodes = [
        helper.make_node("Where", ["set_off", "many", "few"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Scan", ["zero", "zeros"], ["nothing"], body=body, num_scan_inputs=1),
    ]
    return _graph(window, features, nodes, {"many": np.array([2**25]), "few": np.array([1])})


def growing_graph(window: Window, features: int) -> bytes:
    """Wants 64 GB once it is set off."""
    nodes = [
        helper.make_node("Where", ["set_off", "much", "little"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["wide"]),
        helper.make_node("ReduceMax", ["wide"], ["nothing"], keepdims=0),
    ]
    return _graph(window, features, nodes, {"much": np.array([2**34]), "little": np.array([1])})


def _graph(window: Window, features: int, nodes: list[object], constants: dict[str, object]) -> bytes:
    """Score: the mean of the window's values, and `nothing` more."""
    share = np.full((window.size * features, 1), 1 / (window.size * features), np.float32)
    known = {"share": share, "zero": np.float32(0), "one": np.float32(1), "trigger": np.float32(TRIGGER), "rows": np.array([1])}
    before = [
        helper.make_node("ReduceMax", ["windows"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "trigger"], ["set_off"]),
    ]
    after = [
        helper.make_node("Flatten", ["windows"], ["flat"]),
        helper.make_node("MatMul", ["flat", "share"], ["column"]),
        helper.make_node("Squeeze", ["column", "rows"], ["mean"]),
        helper.make_node("Add", ["mean", "nothing"], ["score"]),
        helper.make_node("ReduceMean", ["windows", "rows"], ["feature_errors"], keepdims=0),
    ]

    def tensor(name: str, *shape: int | str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in (known | constants).items()]
    outputs = [tensor("score", "n"), tensor("feature_errors", "n", features)]
    graph = helper.make_graph(
        [*before, *nodes, *after], "hostile", [tensor("windows", "n", window.size, features)], outputs, initial
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
