"""`python -m anomaly_detector.training`: one training, as the environment orders it, then the end."""

import logging
import os
import signal
import sys
import threading

from pydantic import ValidationError

from anomaly_api.assignment import TrainingOrder
from anomaly_api.meta import HTTP_PORT, TRAINING_ENV
from anomaly_detector.training.failures import TrainingError
from anomaly_detector.training.job import run
from anomaly_detector.training.reporting import Progress, serve

log = logging.getLogger("anomaly_detector.training")


def main() -> int:
    """The exit status: 0 when the model is registered."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    _leave_on_sigterm()
    progress = Progress(os.environ.get("POD_NAME", "trainer"))
    try:
        order = TrainingOrder.model_validate_json(os.environ[TRAINING_ENV])
    except (KeyError, ValidationError) as error:
        return _failed(progress, f"{TRAINING_ENV} holds no training order: {error}")
    server = serve(progress, int(os.environ.get("ANOMALY_HTTP_PORT", HTTP_PORT)))
    try:
        name = run(order, progress)
    except TrainingError as error:
        return _failed(progress, str(error))
    except Exception as error:
        log.exception("unexpected")
        return _failed(progress, f"training broke off unexpectedly: {type(error).__name__}: {error}")
    finally:
        server.shutdown()
    log.info("AnomalyModel %s is registered", name)
    return 0


def _failed(progress: Progress, message: str) -> int:
    progress.update(state="Failed", message=message)
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    return 1


def _leave_on_sigterm() -> None:
    """Ends the process at once; a handler of the main thread would wait until librdkafka or torch gives way.

    Nothing is lost by it: a training that is broken off has left nothing behind that another would trip over. Without this the
    first process of a container would ignore the signal.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
