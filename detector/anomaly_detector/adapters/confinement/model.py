"""The pod's side: a candidate's model that is asked in a process of its own, within a time and a memory limit.

A graph that never ends, takes memory without end or crashes ends that process, and is a ScoringError here. What it costs:
`python -m dev.verify.bench.candidate`. The scores are those of `onnx.Model`, to the last bit.
"""

import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec import Struct

from anomaly_api.evidence import RevisionFailure
from anomaly_api.source import Pipeline
from anomaly_detector.adapters.confinement.frames import SharedMemory, decode, encode
from anomaly_detector.core.columns import Float32, Int64
from anomaly_detector.core.preprocess.windows import WindowBatch
from anomaly_detector.core.scoring.artifact import ArtifactError, ModelArtifact
from anomaly_detector.core.scoring.executor import Work
from anomaly_detector.core.scoring.graphs import ScoringError
from anomaly_detector.core.scoring.onnx import kind_of, matched, without

_NUMBERS_AT_ONCE: Final = 1_500_000
"""Of one question: 6 MB of shared memory."""
_LEAST_AT_ONCE: Final = 512
_SLICE_SECONDS: Final = 0.25
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_OWN_BYTES: Final = 64_000_000
"""That the process takes before it has a model."""
_CGROUP: Final = Path("/sys/fs/cgroup")


class Limits(Struct, frozen=True):
    """What a candidate may take."""

    memory: int = 256_000_000
    """Bytes, beside what the process takes without a model; less where the container has less left."""
    seconds: float = 5.0
    """For the windows of a batch."""
    load_seconds: float = 60.0
    """To load its graphs and to try them."""


class ConfinedArtifactError(ArtifactError):
    """A model that could not be loaded in its process."""

    def __init__(self, failure: RevisionFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class ConfinedError(ScoringError):
    """The process has ended, or was ended."""

    def __init__(self, failure: RevisionFailure, message: str) -> None:
        super().__init__(message)
        self.failure = failure.value


class ConfinedModel:
    """A model in a process of its own. It is asked by one thread, beside whatever else the pod does."""

    def __init__(self, artifact: ModelArtifact, pipeline: Pipeline, limits: Limits = Limits()) -> None:  # noqa: B008 - it is frozen
        """Raises ArtifactError when it does not load, takes too much memory or too long."""
        sizes = matched(artifact, pipeline)
        self.digest, self.reference, self.kind = artifact.digest, artifact.manifest.drift, kind_of(artifact)
        self._limits, self._features = limits, len(pipeline.features)
        memory = _allowed(limits.memory)
        self._process, self._memory = _started(memory)
        self._answers = bytearray()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="candidate")
        self._end = weakref.finalize(self, _end, self._process, self._memory.descriptor, self._thread)
        try:
            self._load(artifact.graphs, sizes)
        except ConfinedError as error:
            self._end()
            raise ConfinedArtifactError(RevisionFailure(error.failure), str(error)) from error

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    @property
    def memory(self) -> int:
        """Bytes that its process takes; 0 when it has ended."""
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def executor(self, work: Work[Float32]) -> Work[Float32]:
        """Begins some work with it, beside what the stable revision does."""
        return self._thread.submit(work).result

    def score(self, window: WindowBatch) -> Float32:
        """[n] How unusual each window is, in the model's own scale. Raises ScoringError."""
        (values, known), times, patience = window.shown, window.times, _Patience(self._limits.seconds)
        at_once = max(_LEAST_AT_ONCE, _NUMBERS_AT_ONCE // (values.shape[1] * values.shape[2]))
        parts: list[Float32] = []
        for start in range(0, len(values), at_once):
            end = start + at_once if len(values) - start - at_once > 1 else len(values)  # none is left alone
            part = values[start:end]
            what = f"the {len(values):,} windows {window.name} of a batch"
            self._ask({"op": "score", "window": window.name}, part, times[start:end], patience, what)
            parts.append(self._memory.read(0, (len(part),), np.float32))
            if end == len(values):
                break
        return without(np.concatenate(parts) if parts else np.empty(0, np.float32), known)

    def explain(self, window: str, values: Float32, times: Int64) -> tuple[Float32, Float32]:
        """[n, features] Errors of single features and [n, features] what was expected of the newest reading."""
        patience = _Patience(self._limits.seconds)
        self._ask({"op": "explain", "window": window}, values, times, patience, f"the reasons of {len(values)} windows {window}")
        shape = (len(values), self._features)
        errors: Float32 = self._memory.read(0, shape, np.float32)
        return errors, self._memory.read(errors.nbytes, shape, np.float32)

    def stop(self) -> None:
        """Ends its process; so does whoever forgets the model."""
        self._end()

    def _load(self, graphs: Mapping[str, bytes], sizes: Mapping[str, int]) -> None:
        wanted = {name: graphs[name] for name in sizes}
        self._memory.room(sum(map(len, wanted.values())))
        places, end = {}, 0
        for name, content in wanted.items():
            places[name] = [end, len(content)]
            end = self._memory.write(end, np.frombuffer(content, np.uint8))
        asked = {"op": "load", "graphs": places, "sizes": dict(sizes), "features": self._features}
        self._exchange(asked, _Patience(self._limits.load_seconds), "being loaded and tried")

    def _ask(self, asked: dict[str, Any], values: Float32, times: Int64, patience: "_Patience", what: str) -> None:
        most = max(values.nbytes, 2 * len(values) * self._features * values.itemsize)  # the answer comes in the same place
        self._memory.room(times.nbytes + most)
        self._memory.write(self._memory.write(0, times), values)
        self._exchange(asked | {"shape": list(values.shape)}, patience, what)

    def _exchange(self, asked: dict[str, Any], patience: "_Patience", what: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(asked))
        except OSError:
            raise self._ended(what) from None
        answer = self._answer(patience, what)
        if "error" in answer:
            raise ConfinedError(RevisionFailure(answer["kind"]), answer["error"])

    def _answer(self, patience: "_Patience", what: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while (answer := decode(self._answers)) is None:
            if not patience.waits_for(pipe):
                self._process.kill()
                text = f"{what} took longer than the {patience.seconds:g} s that a candidate may take; its process was ended"
                raise ConfinedError(RevisionFailure.CANDIDATE_TOO_SLOW, text)
            content = os.read(pipe, 1 << 16)
            if not content:
                raise self._ended(what)
            self._answers += content
        return answer

    def _ended(self, what: str) -> ConfinedError:
        status = self._process.wait()
        return ConfinedError(RevisionFailure.SCORING_FAILED, f"{what}: its process ended with status {status}")


class _Patience:
    """So long an answer is waited for, in time that this process has had: one that was frozen finds the answer there."""

    def __init__(self, seconds: float) -> None:
        self.seconds = self._left = seconds

    def waits_for(self, pipe: int) -> bool:
        """Whether there is something to read before all of it is used up."""
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while True:
            begun = time.monotonic()
            if poll.poll(1000 * max(0.0, min(self._left, _SLICE_SECONDS))):
                self._left -= min(time.monotonic() - begun, 2 * _SLICE_SECONDS)
                return True
            self._left -= min(time.monotonic() - begun, 2 * _SLICE_SECONDS)
            if self._left <= 0:
                return False


def _started(most: int) -> tuple[subprocess.Popen[bytes], SharedMemory]:
    descriptor = os.memfd_create("candidate", os.MFD_CLOEXEC)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.child", str(descriptor), str(most)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[descriptor],
        env=environment,
        bufsize=0,
    )
    return process, SharedMemory(descriptor)


def _end(process: subprocess.Popen[bytes], descriptor: int, thread: ThreadPoolExecutor) -> None:
    process.kill()
    thread.shutdown(wait=False)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait()
    os.close(descriptor)


def _allowed(memory: int) -> int:
    """What the container has left for a model, at most `memory`. Raises ArtifactError where it has next to nothing."""
    left = _left() - _OWN_BYTES
    if left < min(memory, _OWN_BYTES):
        text = f"the container has {max(0, left) // 1_000_000} MB left for a candidate: give it more in spec.pod.resources"
        raise ConfinedArtifactError(RevisionFailure.CANDIDATE_TOO_LARGE, text)
    return min(memory, left)


def _left() -> int:
    """Bytes that the container may still take, by its cgroup (version 2)."""
    try:
        most, now = (_CGROUP / "memory.max").read_text().strip(), int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        return int(most) - now + int(stat["inactive_file"]) if most.isdigit() else sys.maxsize
    except (OSError, ValueError, KeyError):
        return sys.maxsize
