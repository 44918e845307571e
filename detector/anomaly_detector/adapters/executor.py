"""One thread more, for what needs Python's lock for a moment only: ONNX Runtime gives it back while it scores."""

from concurrent.futures import ThreadPoolExecutor

from anomaly_detector.core.columns import Float32
from anomaly_detector.core.scoring.executor import Work


class ScoringThread:
    """A thread that does one piece of work after the other, in their order."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __call__(self, work: Work[Float32]) -> Work[Float32]:
        """Begins some work; what it returns waits for the end of it, and raises what it raised."""
        return self._thread.submit(work).result

    def stop(self) -> None:
        """Waits for the end of what it does."""
        self._thread.shutdown()
