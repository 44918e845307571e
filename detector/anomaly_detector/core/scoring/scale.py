"""From a model's own score to the one that is shown: 1.0 is the threshold, and what is above grows with rarity.

    below the threshold    score / threshold
    above it               1 + how much rarer, see `anomaly_api.tails`; or score / threshold where nothing is known of the tail

The way there is strictly monotone and continuous, so no decision depends on it; severities mean the same for all kinds of model.
"""

from typing import Final

import numpy as np

from anomaly_api.calibration import WindowThreshold
from anomaly_api.tails import Tail
from anomaly_detector.core.columns import Float32, Float64

_LARGEST: Final = float(np.finfo(np.float32).max)
_LEAST_SHAPE: Final = 1e-3
"""Where an exponential tail is as good."""


def shown(raw: Float32, threshold: WindowThreshold) -> Float32:
    """[n] The scores as they are shown. Finite, as alerts are JSON; what is no number stays none.

    >>> shown(np.array([0.5, 1.0, 3.0], np.float32), WindowThreshold(window="a", value=1.0, source="Value", asked="1")).tolist()
    [0.5, 1.0, 3.0]
    """
    quotients = raw / np.float64(threshold.value)
    if threshold.tail is not None:
        over = quotients > 1.0
        quotients[over] = 1.0 + _rarer(raw[over] - np.float64(threshold.value), threshold.tail)
    found: Float32 = np.clip(quotients, -_LARGEST, _LARGEST).astype(np.float32)
    return found


def raw(shown_scores: Float32, threshold: WindowThreshold) -> Float32:
    """[n] The model's own scores that are shown as these, but for rounding."""
    found = shown_scores * np.float64(threshold.value)
    if threshold.tail is not None:
        over = shown_scores > 1.0
        found[over] = threshold.value + _excess(shown_scores[over].astype(np.float64) - 1.0, threshold.tail)
    return np.clip(found, -_LARGEST, _LARGEST).astype(np.float32)


def _rarer(excess: Float64, tail: Tail) -> Float64:
    if tail.shape < _LEAST_SHAPE:
        return excess / (tail.scale * tail.rarity)
    found: Float64 = np.log1p(tail.shape * excess / tail.scale) / (tail.shape * tail.rarity)
    return found


def _excess(rarer: Float64, tail: Tail) -> Float64:
    if tail.shape < _LEAST_SHAPE:
        return rarer * tail.scale * tail.rarity
    found: Float64 = np.expm1(np.minimum(rarer * tail.shape * tail.rarity, 80.0)) * tail.scale / tail.shape
    return found
