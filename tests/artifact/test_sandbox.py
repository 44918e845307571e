"""Graphs are tried in a process of its own: whatever they do there, the check goes on. Each test starts such processes."""

import json

import numpy as np
import pytest
from onnx import helper

from anomaly_api.verification import VerificationReason
from anomaly_detector.cli import __main__ as cli
from anomaly_detector.core.scoring.artifact import artifact_digest, unpack
from anomaly_detector.verification import sandbox
from anomaly_detector.verification.check import verify
from tests.artifact.test_verification import a_graph, archive_of, order

pytestmark = pytest.mark.integration  # seconds each


def test_a_graph_that_takes_all_memory_ends_its_trial_alone():
    greedy = a_graph(
        helper.make_node("ConstantOfShape", ["shape"], ["filled"]),
        helper.make_node("ReduceMax", ["filled"], ["most"], keepdims=0),
        helper.make_node("Add", ["means", "most"], ["made"]),
        source="made",
        constants={"shape": np.array([1 << 16, 1 << 16], np.int64)},
    )
    found = sandbox.tried(archive_of(greedy))
    assert found is not None
    assert found.reason is VerificationReason.TOO_LARGE, found


def test_a_graph_that_takes_too_long_ends_its_trial_alone():
    multiplied = [helper.make_node("MatMul", ["m", "m"], ["m0"])]
    multiplied += [helper.make_node("MatMul", [f"m{at}", "m"], [f"m{at + 1}"]) for at in range(200)]
    slow = a_graph(
        helper.make_node("Expand", ["zero", "shape"], ["zeros"]),
        helper.make_node("ReduceMax", ["windows"], ["largest"], keepdims=0),
        helper.make_node("Add", ["zeros", "largest"], ["m"]),
        *multiplied,
        helper.make_node("ReduceMax", ["m200"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "zero"], ["nothing"]),
        helper.make_node("Add", ["means", "nothing"], ["made"]),
        source="made",
        constants={"zero": np.array(0, np.float32), "shape": np.array([2048, 2048], np.int64)},
    )
    found = sandbox.tried(archive_of(slow), seconds=3.0)
    assert found is not None
    assert found.reason is VerificationReason.TOO_SLOW, found


def test_a_whole_check_lets_a_good_model_in():
    archive = archive_of(a_graph())
    result = verify(order(archive), lambda _: archive)
    assert result.verified, result
    assert result.digest == artifact_digest(archive)


def test_the_command_checks_files_and_folders_and_packs_them(tmp_path, capsys):
    archive = archive_of(a_graph())
    (tmp_path / "good.tar").write_bytes(archive)
    assert cli.main(["model", "check", str(tmp_path / "good.tar")]) == 0
    assert artifact_digest(archive) in capsys.readouterr().out
    manifest = unpack(archive, artifact_digest(archive)).manifest.document()
    manifest.pop("graphs")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "short.onnx").write_bytes(a_graph().SerializeToString())
    packed = tmp_path / "mine.tar"
    assert cli.main(["model", "pack", str(folder), "--to", str(packed)]) == 0
    assert unpack(packed.read_bytes(), artifact_digest(packed.read_bytes())).graphs["short"]
    (folder / "short.onnx").write_bytes(a_graph(opset=99).SerializeToString())
    assert cli.main(["model", "check", str(folder)]) == 1
    assert "opset" in capsys.readouterr().out
