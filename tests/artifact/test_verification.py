"""A model that somebody brings is loaded only after it was checked; what does not fit is refused with what is missing."""

import io
import json
import random

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from anomaly_api.model import Interface, InterfaceWindow
from anomaly_api.verification import VerificationOrder, VerificationReason
from anomaly_detector.core.scoring.artifact import InvalidArtifactError, Manifest, artifact_digest, pack, unpack
from anomaly_detector.verification import graph, trial
from anomaly_detector.verification.check import check, verify_archive
from tests.artifact.test_artifact import calibration

SIZE, NAMES = 12, ["force", "stroke"]


def tensor(name: str, *shape: int | str, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def a_graph(
    *before_score: onnx.NodeProto,
    source: str = "means",
    shape: tuple[int | str, ...] = ("n", SIZE, 2),
    constants: dict[str, np.ndarray] | None = None,
    opset: int = 18,
    outputs: tuple[str, ...] = ("score", "feature_errors"),
    domain: str = "",
) -> onnx.ModelProto:
    """Mean of the absolute readings; `before_score` are nodes that make `source`, [n, 2], out of `means`."""
    nodes = [
        helper.make_node("Abs", ["windows"], ["sizes"]),
        helper.make_node("ReduceMean", ["sizes", "one"], ["means"], keepdims=0),
        *before_score,
        helper.make_node("ReduceMean", [source, "one"], ["score"], keepdims=0),
        helper.make_node("Identity", [source], ["feature_errors"]),
    ]
    shapes = {"score": ("m",), "feature_errors": ("k", 2)}
    held = {"one": np.array([1], np.int64)} | (constants or {})
    body = helper.make_graph(
        nodes,
        "graph",
        [tensor("windows", *shape)],
        [tensor(name, *shapes[name]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(body, opset_imports=imports, ir_version=9)


def archive_of(model: onnx.ModelProto | bytes, window: str = "short", size: int = SIZE) -> bytes:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    interface = Interface(features=NAMES, windows=[InterfaceWindow(name=window, size=size)], opset=18)
    return pack(Manifest(interface=interface, calibration=[calibration(window)]), {window: content})


def reason_of(model: onnx.ModelProto | bytes, *, trying: bool = True) -> VerificationReason | None:
    """What is found in this process; the trial proper is tested apart, for each takes a process."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    found = graph.findings("short", content)
    if not found and trying:
        found = [each for each in [trial.try_archive(archive_of(content))] if each]
    return found[0].reason if found else None


def node(kind: str, inputs: list[str], **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, ["made"], **attributes)


def chosen_by_count(count: int) -> list[onnx.NodeProto]:
    """Not a number when there are `count` windows in a batch."""
    return [
        helper.make_node("Shape", ["means"], ["shape"], start=0, end=1),
        helper.make_node("Equal", ["shape", "count"], ["hit"]),
        helper.make_node("Where", ["hit", "nothing", "zero"], ["added"]),
        helper.make_node("Add", ["means", "added"], ["made"]),
    ]


HELD = {"count": np.array([7], np.int64), "nothing": np.array([np.nan], np.float32), "zero": np.array([0], np.float32)}


def with_external_data() -> onnx.ModelProto:
    model = a_graph(node("Add", ["means", "zero"]), source="made", constants={"zero": HELD["zero"]})
    [held] = [each for each in model.graph.initializer if each.name == "zero"]
    held.ClearField("raw_data")
    held.data_location = TensorProto.EXTERNAL
    held.external_data.add(key="location", value="../../etc/passwd")
    return model


def with_a_huge_initializer() -> onnx.ModelProto:
    model = a_graph(node("Add", ["means", "zero"]), source="made", constants={"zero": HELD["zero"]})
    [held] = [each for each in model.graph.initializer if each.name == "zero"]
    del held.dims[:]
    held.dims.extend([1 << 20, 1 << 20])
    return model


def with_a_loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"])],
        "body",
        [tensor("turn", kind=TensorProto.INT64), tensor("on", kind=TensorProto.BOOL)],
        [tensor("still", kind=TensorProto.BOOL)],
    )
    yes = {"yes": np.array(True)}
    turning = helper.make_node("Loop", ["", "yes"], [], body=body)
    return a_graph(turning, constants=yes)


REFUSED = {
    "opset too new": (a_graph(opset=99), VerificationReason.OPSET_NOT_SUPPORTED),
    "opset too old": (a_graph(opset=7), VerificationReason.OPSET_NOT_SUPPORTED),
    "an operator of nobody's": (
        a_graph(node("Shell", ["means"], domain="com.example"), source="made", domain="com.example"),
        VerificationReason.OPERATORS_NOT_ALLOWED,
    ),
    "an operator of the runtime's vendor": (
        a_graph(node("Gelu", ["means"], domain="com.microsoft"), source="made", domain="com.microsoft"),
        VerificationReason.OPERATORS_NOT_ALLOWED,
    ),
    "a loop": (with_a_loop(), VerificationReason.OPERATORS_NOT_ALLOWED),
    "chance": (a_graph(node("RandomUniformLike", ["means"]), source="made"), VerificationReason.OPERATORS_NOT_ALLOWED),
    "tensors in other files": (with_external_data(), VerificationReason.EXTERNAL_DATA),
    "a tensor that is larger than its bytes": (with_a_huge_initializer(), VerificationReason.TOO_LARGE),
    "one output only": (a_graph(outputs=("score",)), VerificationReason.INTERFACE_MISMATCH),
    "a fixed number of windows": (a_graph(shape=(1, SIZE, 2)), VerificationReason.INTERFACE_MISMATCH),
    "windows of another size": (a_graph(shape=("n", SIZE + 1, 2)), VerificationReason.INTERFACE_MISMATCH),
    "other features": (a_graph(shape=("n", SIZE, 3)), VerificationReason.INTERFACE_MISMATCH),
    "errors of another shape": (
        a_graph(node("Concat", ["means", "means"], axis=1), source="made"),
        VerificationReason.INTERFACE_MISMATCH,
    ),
    "negative errors": (a_graph(node("Neg", ["means"]), source="made"), VerificationReason.INTERFACE_MISMATCH),
    "no number for seven windows": (
        a_graph(*chosen_by_count(7), source="made", constants=HELD),
        VerificationReason.OUTPUTS_NOT_FINITE,
    ),
    "no number for a broken sensor": (
        a_graph(
            helper.make_node("Exp", ["means"], ["large"]),
            helper.make_node("Div", ["large", "large"], ["made"]),
            source="made",
        ),
        VerificationReason.OUTPUTS_NOT_FINITE,
    ),
    "a mean over the batch": (
        a_graph(
            helper.make_node("ReduceMean", ["means", "rows"], ["level"], keepdims=1),
            helper.make_node("Add", ["means", "level"], ["made"]),
            source="made",
            constants={"rows": np.array([0], np.int64)},
        ),
        VerificationReason.DEPENDS_ON_BATCH,
    ),
    "a graph that fails for larger batches": (
        a_graph(node("Add", ["means", "fixed"]), source="made", constants={"fixed": np.zeros((3, 2), np.float32)}),
        VerificationReason.GRAPH_FAILED,
    ),
}


def test_a_graph_that_fits_is_let_in():
    assert reason_of(a_graph()) is None


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_with_its_reason(what):
    model, reason = REFUSED[what]
    assert reason_of(model) is reason


def test_the_newest_opset_is_one_that_the_runtime_knows():
    model = a_graph(opset=graph.NEWEST_OPSET).SerializeToString()
    assert onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert reason_of(a_graph(opset=graph.NEWEST_OPSET)) is None


def test_a_graph_that_was_cut_off_anywhere_is_refused_before_a_runtime_sees_it():
    content = a_graph(opset=18).SerializeToString()
    for end in range(len(content)):
        assert graph.findings("short", content[:end]), end


def test_damaged_graphs_are_refused_or_sound_and_raise_nothing():
    content = bytearray(a_graph(*chosen_by_count(3), source="made", constants=HELD).SerializeToString())
    chance = random.Random(1)
    for _ in range(1500):
        changed = bytearray(content)
        for _ in range(chance.choice((1, 1, 3, 20))):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        assert isinstance(graph.findings("short", bytes(changed)), list)


def order(archive: bytes, **changed: object) -> VerificationOrder:
    interface = unpack(archive, artifact_digest(archive)).manifest.interface
    asked = {"location": "m", "digest": artifact_digest(archive), "interface": interface}
    return VerificationOrder.model_validate(asked | changed)


@pytest.mark.parametrize(
    ("changed", "reason", "said"),
    [
        ({"digest": f"sha256:{'0' * 64}"}, VerificationReason.DIGEST_MISMATCH, "was changed or is another model"),
        (
            {"interface": Interface(features=NAMES, windows=[InterfaceWindow(name="long", size=SIZE)])},
            VerificationReason.INTERFACE_MISMATCH,
            "the archive has no window long",
        ),
        (
            {"interface": Interface(features=NAMES[::-1], windows=[InterfaceWindow(name="short", size=SIZE)])},
            VerificationReason.INTERFACE_MISMATCH,
            "spec.interface.features are stroke, force",
        ),
    ],
)
def test_an_archive_that_is_not_what_its_resource_says_is_refused(changed, reason, said):
    archive = archive_of(a_graph())
    found = check(archive, str(changed.get("digest", artifact_digest(archive))), order(archive, **changed))
    assert found[0].reason is reason
    assert said in found[0].message


def test_what_is_no_archive_is_refused():
    assert verify_archive(b"\x80\x04K\x01.").reason is VerificationReason.ARTIFACT_INVALID


def test_the_jobs_answer_is_its_termination_message(tmp_path, monkeypatch):
    from anomaly_detector.verification import __main__ as job

    archive = archive_of(a_graph(opset=99))
    (tmp_path / "model.tar").write_bytes(archive)
    asked = order(archive, location=str(tmp_path / "model.tar"))
    monkeypatch.setenv("ANOMALY_VERIFICATION_ORDER", json.dumps(asked.document()))
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "log"))
    assert job.main() == 3
    assert json.load(io.StringIO((tmp_path / "log").read_text()))["reason"] == "OpsetNotSupported"


def test_a_pod_hands_no_graph_to_its_runtime_whose_bytes_are_not_sound():
    archive = archive_of(with_external_data())
    with pytest.raises(InvalidArtifactError, match="in another file"):
        graph.sound(unpack(archive, artifact_digest(archive)))
