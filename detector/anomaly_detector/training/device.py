"""Where a network is fitted: on a GPU when the pod was given one and torch can use it, else on the CPU."""

import logging
import os
from collections.abc import Callable
from typing import Final

from anomaly_api.pods import Resources

GPU: Final = "nvidia.com/gpu"

log = logging.getLogger(__name__)


def training_device(resources: Resources, available: Callable[[], bool] | None = None) -> str:
    """`cuda` or `cpu`, as torch calls them. `available`: whether torch can use a GPU.

    On a GPU, algorithms are chosen that give the same model for the same seed; it is not the model that a CPU would give.
    """
    asked = any(str((quantities or {}).get(GPU, "0")) != "0" for quantities in (resources.requests, resources.limits))
    if not asked:
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA begins; without it sums differ from run to run
    import torch

    if not (available or torch.cuda.is_available)():
        log.warning("training.resources asks for %s, and torch finds no GPU: the training goes on with the CPU", GPU)
        return "cpu"
    torch.use_deterministic_algorithms(True)
    return "cuda"
