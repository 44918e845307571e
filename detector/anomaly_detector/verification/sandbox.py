"""Gives the trial of a graph a process of its own: bounded in memory and time, without our environment, and without files.

A graph is a program that somebody else wrote. It may take all memory, never end, or end the process; none of that may end the
check. (What a graph can do with a flaw of the runtime is bounded by the pod: no token, no rights, nothing writable.)
"""

import json
import resource
import subprocess
import sys
import tempfile
from typing import Final

from anomaly_api.verification import VerificationReason
from anomaly_detector.verification.graph import Finding

SECONDS: Final = 120.0
MEMORY_BYTES: Final = 2 * 1024**3
"""Address space, of which the interpreter and ONNX Runtime take a third."""
_MAX_ANSWER: Final = 16 * 1024
_FILES: Final = 64
_OUT_OF_MEMORY: Final = ("bad_alloc", "MemoryError", "Failed to allocate memory", "BFCArena", "out of memory")


def tried(archive: bytes, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> Finding | None:
    """What is wrong with the graphs of an archive; None where they behave."""

    def limits() -> None:
        for what, most in (
            (resource.RLIMIT_AS, memory_bytes),
            (resource.RLIMIT_CPU, int(seconds) + 1),
            (resource.RLIMIT_FSIZE, 1024 * 1024),
            (resource.RLIMIT_NOFILE, _FILES),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(what, (most, most))

    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as trouble:
        process = subprocess.Popen(
            [sys.executable, "-m", "anomaly_detector.verification.trial"],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=trouble,
            env=environment,
            cwd="/",
            preexec_fn=limits,
            start_new_session=True,
        )
        try:
            process.communicate(archive, timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Finding(VerificationReason.TOO_SLOW, f"the graphs were not through their trial after {seconds:g} s")
        finally:
            if process.poll() is None:
                process.kill()
        answer.seek(0)
        trouble.seek(0)
        return _read(process.returncode, answer.read(_MAX_ANSWER), trouble.read()[-_MAX_ANSWER:], memory_bytes)


def _read(status: int, answer: bytes, trouble: bytes, memory_bytes: int) -> Finding | None:
    said = trouble.decode("utf-8", "replace")
    try:
        found = json.loads(answer) if status == 0 else None
        finding = Finding(VerificationReason(found["reason"]), str(found["message"])) if found else None
    except (ValueError, KeyError, TypeError):
        found = finding = None
    if found is not None and (finding is None or not _exhausted(finding.message)):
        return finding
    if _exhausted(said) or (finding is not None and _exhausted(finding.message)):
        most = f"{memory_bytes // 1024**2} MiB"
        return Finding(VerificationReason.TOO_LARGE, f"the graphs take more memory than {most} in their trial")
    how = f"signal {-status}" if status < 0 else f"exit status {status}"
    last = (said.strip().splitlines() or ["nothing was said"])[-1][:200]
    return Finding(VerificationReason.GRAPH_FAILED, f"the graphs ended the process of their trial ({how}: {last})")


def _exhausted(said: str) -> bool:
    return any(word in said for word in _OUT_OF_MEMORY)
