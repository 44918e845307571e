"""The process that scores with a candidate's model: `python -m anomaly_detector.adapters.confinement.child <memory> <bytes>`.

It takes no more memory than it is told, answers what it is asked, and ends with whoever started it.
"""

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from anomaly_detector.adapters.confinement.frames import SharedMemory, decode, encode
from anomaly_detector.core.scoring.graphs import BadGraphError, Graphs, ScoringError

_LOOK_SECONDS: Final = 1.0
_FULL: Final = ("bad_alloc", "allocate memory", "Cannot allocate", "bad allocation")


class Scorer:
    """The model, once it is loaded."""

    def __init__(self, memory: SharedMemory) -> None:
        self._memory = memory
        self._graphs: Graphs | None = None

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What is asked, done; or why it could not be done."""
        self._memory.follow()
        try:
            return getattr(self, f"_{asked.pop('op')}")(**asked)  # type: ignore[no-any-return]
        except MemoryError:
            return {"error": "there is no memory left", "kind": "CandidateTooLarge"}
        except (ScoringError, BadGraphError) as error:
            full = any(word in str(error) for word in _FULL)
            kind = "CandidateTooLarge" if full else "ArtifactInvalid" if isinstance(error, BadGraphError) else "ScoringFailed"
            return {"error": str(error), "kind": kind}

    def _load(self, graphs: dict[str, list[int]], sizes: dict[str, int], features: int) -> dict[str, Any]:
        content = {name: self._memory.view(start, (size,), np.uint8).tobytes() for name, (start, size) in graphs.items()}
        self._graphs = Graphs(content, sizes, features)
        return {}

    def _score(self, window: str, shape: list[int]) -> dict[str, Any]:
        values, times = self._windows(shape)
        assert self._graphs is not None, "it is loaded"
        self._memory.write(0, self._graphs.score(window, values, times))
        return {}

    def _explain(self, window: str, shape: list[int]) -> dict[str, Any]:
        values, times = self._windows(shape)
        assert self._graphs is not None, "it is loaded"
        errors, expected = self._graphs.explain(window, values.copy(), times.copy())
        self._memory.write(self._memory.write(0, errors), expected)
        return {}

    def _windows(self, shape: list[int]) -> tuple[Any, Any]:
        """Times first: they need to lie at a multiple of eight bytes."""
        count = shape[0]
        times = self._memory.view(0, (count,), np.int64)
        return self._memory.view(times.nbytes, tuple(shape), np.float32), times


def main(descriptor: int, most: int) -> None:
    """Until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever writes to standard output does not get between the answers
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    limit = _data_bytes() + most
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _first_to_be_killed()
    scorer, questions = Scorer(SharedMemory(descriptor)), os.fdopen(0, "rb", buffering=0)
    _serve(scorer, questions, answers)


def _serve(scorer: Scorer, questions: BinaryIO, answers: BinaryIO) -> None:
    waiting = bytearray()
    while content := questions.read(1 << 16):
        waiting += content
        while (asked := decode(waiting)) is not None:
            answers.write(encode(scorer.answer(asked)))
            answers.flush()


def _end_with(parent: int) -> None:
    """A graph that never ends must not outlive the pod."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)


def _data_bytes() -> int:
    """Memory of the process's own that it has now, as its limit counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))


def _first_to_be_killed() -> None:
    """Where the container runs out of memory, it is this process that goes."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
