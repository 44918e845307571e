"""Runs the graphs of an archive on made-up windows: `python -m anomaly_detector.verification.trial`, in a process of its own.

The archive comes on standard input, what was found goes to standard output as one line of JSON. `sandbox` gives the process its
limits; whatever a graph does, it does here.
"""

import json
import sys
from typing import Any, Final

import numpy as np
import onnxruntime

from anomaly_api.model import InterfaceWindow
from anomaly_api.verification import VerificationReason
from anomaly_detector.core.columns import Float32
from anomaly_detector.core.scoring.artifact import artifact_digest, unpack
from anomaly_detector.core.scoring.graphs import GRAPH_INPUT, GRAPH_OUTPUTS, GRAPH_TIMES, RUNTIME_ERRORS
from anomaly_detector.verification.graph import Finding

BATCHES: Final = (1, 2, 3, 5, 7, 64, 256)
"""Windows in one run. The last one is the one that the others are compared with."""
SCALES: Final = (1.0, 100.0, 1e4, 1e6)
"""Of readings for which a score must be a finite number."""
EXTREMES: Final = (0.0, 1e-38, 1e12, -1e12, 1e20, 3.4e38, -3.4e38)
"""Readings that a broken sensor may send."""
_SQUARABLE: Final = 1e15
"""Up to here scores must be finite; beyond, where squares are not, they may be infinite, for they are cut off."""
_TOLERANCE: Final = 1e-2
"""Relative: far above what the order of a sum makes of float32, far below what a score says."""
_SCORE, _ERRORS, _EXPECTED = GRAPH_OUTPUTS


class _RefusedError(Exception):
    def __init__(self, reason: VerificationReason, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(reason, message)


def try_archive(archive: bytes) -> Finding | None:
    """What is wrong with the graphs of an archive, None where they behave. Only the first that is wrong is named."""
    artifact = unpack(archive, artifact_digest(archive))
    interface = artifact.manifest.interface
    try:
        for window in interface.windows:
            _Trial(window, len(interface.features), artifact.graphs[window.name]).run()
    except _RefusedError as error:
        return error.finding
    return None


class _Trial:
    """One graph."""

    def __init__(self, window: InterfaceWindow, features: int, graph: bytes) -> None:
        self._where = f"the graph of window {window.name}"
        self._size, self._features = window.size, features
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except RUNTIME_ERRORS as error:
            self._refuse(VerificationReason.GRAPH_FAILED, f"does not load: {_line(error)}")
        names = [each.name for each in self._session.get_outputs()]
        self._outputs = [name for name in GRAPH_OUTPUTS if name in names]
        self._times = any(each.name == GRAPH_TIMES for each in self._session.get_inputs())

    def run(self) -> None:
        """Raises _RefusedError."""
        self._inputs()
        for scale in SCALES:
            self._ordinary(scale)
        for reading in EXTREMES:
            for batch in (1, 7):
                self._extreme(np.full((batch, self._size, self._features), reading, np.float32), f"{reading:g}")
        jump = np.zeros((2, self._size, self._features), np.float32)
        jump[:, -1, :] = 1e30
        self._extreme(jump, "a jump to 1e30")

    def _inputs(self) -> None:
        """What the graph says of its inputs."""
        asked = [each for each in self._session.get_inputs() if each.name == GRAPH_INPUT]
        shape, kind = (list(asked[0].shape), asked[0].type) if asked else ([], "nothing")
        wanted = (None, self._size, self._features)
        fits = len(shape) == len(wanted) and all(
            not isinstance(have, int) or have == want for have, want in zip(shape, wanted, strict=True)
        )
        if kind != "tensor(float)" or not fits:
            said = f"takes {GRAPH_INPUT} as {kind} {shape} and not as tensor(float) ['n', {self._size}, {self._features}]"
            self._refuse(VerificationReason.INTERFACE_MISMATCH, f"{said}: export it with a dynamic number of windows")

    def _ordinary(self, scale: float) -> None:
        """Every number of windows gives finite outputs, and each window the same score whatever is beside it."""
        most = BATCHES[-1]
        angles = np.arange(most * self._size * self._features, dtype=np.float32)
        values = (np.sin(angles) * np.float32(scale)).reshape(most, self._size, self._features)
        whole = self._once(values)
        for batch in BATCHES:
            found = self._once(values[:batch]) if batch != most else whole
            for name, output in zip(self._outputs, found, strict=True):
                if not np.isfinite(output).all():
                    said = f"gives {name} that are no finite numbers for {batch} windows of readings up to {scale:g}"
                    self._refuse(VerificationReason.OUTPUTS_NOT_FINITE, said)
            if not np.allclose(found[0], whole[0][:batch], rtol=_TOLERANCE, atol=1e-6):
                said = "gives a window another score when other windows are beside it"
                hint = "export it for inference, without normalizing over the batch"
                self._refuse(VerificationReason.DEPENDS_ON_BATCH, f"{said} ({batch} and {most}): {hint}")
            if (found[1] < 0).any():
                self._refuse(VerificationReason.INTERFACE_MISMATCH, f"gives negative {_ERRORS}: they are shares of the score")

    def _extreme(self, values: Float32, what: str) -> None:
        score = self._once(values)[0]
        infinite = np.abs(values).max() <= _SQUARABLE and np.isinf(score).any()
        if np.isnan(score).any() or infinite:
            hint = "clip its input or its errors, so that a broken sensor scores high"
            self._refuse(VerificationReason.OUTPUTS_NOT_FINITE, f"gives no finite {_SCORE} for readings of {what}: {hint}")

    def _once(self, values: Float32) -> list[Float32]:
        """One run; the outputs have the shapes of the interface."""
        given: dict[str, Any] = {GRAPH_INPUT: values}
        if self._times:
            given[GRAPH_TIMES] = np.arange(len(values), dtype=np.int64) * 1_000_000 + 1_700_000_000_000_000
        try:
            found: list[Float32] = self._session.run(self._outputs, given)
        except RUNTIME_ERRORS as error:
            self._refuse(VerificationReason.GRAPH_FAILED, f"fails for {len(values)} windows: {_line(error)}")
        for name, output in zip(self._outputs, found, strict=True):
            wanted = (len(values),) if name == _SCORE else (len(values), self._features)
            shape, kind = getattr(output, "shape", None), getattr(output, "dtype", None)
            if shape != wanted or kind != np.float32:
                said = f"gives {name} for {len(values)} windows as {kind} {shape} and not as float32 {wanted}"
                self._refuse(VerificationReason.INTERFACE_MISMATCH, said)
        return found

    def _refuse(self, reason: VerificationReason, said: str) -> Any:
        raise _RefusedError(reason, f"{self._where} {said}")


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0][:300]


def main() -> int:
    """0, whatever was found; anything else is a graph that has ended the process."""
    found = try_archive(sys.stdin.buffer.read())
    print(json.dumps({} if found is None else {"reason": found.reason.value, "message": found.message}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
