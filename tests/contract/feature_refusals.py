"""What is wrong with kinds of features and derived ones, and the sentences that the API server answers. No test."""

from typing import Any

from tests.contract.refusals import _ZONE, Wrong, _detector

_EXACTLY_ONE = "set exactly one of: difference, ratio, rollingMean, rateOfChange"
_FIELD = "a derived feature is computed from others: set field or derived, not both"
_COUNTER = (
    "kind Counter is for what stands in readings: give the feature that is derived from the kind Counter, or take rateOfChange"
)
_NAMES = (
    "features[].derived must name other features of the list that are read and not derived themselves: correct the name, or add "
    "the feature"
)


def _derived(where: str, sentence: str, derived: Any, **feature: Any) -> Wrong:
    features = [{"name": "flow"}, {"name": "other", "derived": derived, **feature}]
    return _detector(f"spec{where}", sentence, features=features)


_CONTEXT = "features[].role must be Scored of one feature at least: nothing would be watched"
_EXPECTS = (
    "role Context and leastDeviation need a model that says what it expected: choose autoencoder, pca, seasonal, bounds or "
    "statistical in place of isolationForest and localOutlierFactor"
)
_WHOLE = "whole is what a share is of: set kind Ratio, or leave it out"
_SPREADS = (
    "a model sees a feature of scale PerEntity in its entity's own spreads: leave out leastDeviation and whole, and the scalers "
    "Log1p and ArcSine"
)
_BOUNDS = "model.bounds are in the features' own units: leave out scale PerEntity"
_TIMED = (
    "model.time is for models that reproduce windows: autoencoder, pca, or an ensemble with one of them; seasonal knows the time"
)
_MIXED = {"ensemble": {"members": [{"pca": {}}, {"isolationForest": {}}]}}
_AT = ".features[1]"
FEATURE_ROWS = [
    _derived(_AT, _FIELD, {"rateOfChange": {"of": "flow"}}, field="flow"),
    _derived(_AT, _COUNTER, {"rateOfChange": {"of": "flow"}}, kind="Counter"),
    _derived(f"{_AT}.derived", _EXACTLY_ONE, {}),
    _derived(f"{_AT}.derived", _EXACTLY_ONE, {"rateOfChange": {"of": "flow"}, "rollingMean": {"of": "flow"}}),
    _derived("", _NAMES, {"rateOfChange": {"of": "pressure"}}),
    _derived("", _NAMES, {"rollingMean": {"of": "other"}}),
    _derived("", _NAMES, {"difference": {"of": "flow", "minus": "pressure"}}),
    _derived("", _NAMES, {"ratio": {"of": "pressure", "to": "flow"}}),
    _derived(
        f"{_AT}.derived.difference",
        "a feature minus itself is nothing: name two features",
        {"difference": {"of": "flow", "minus": "flow"}},
    ),
    _derived(
        f"{_AT}.derived.ratio", "a feature over itself is always 1: name two features", {"ratio": {"of": "flow", "to": "flow"}}
    ),
    _detector("spec", _CONTEXT, features=[{"name": "speed", "role": "Context"}]),
    _detector("spec.features[0]", _WHOLE, features=[{"name": "cpu", "whole": 100}]),
    _detector("spec", _EXPECTS, features=[{"name": "cpu", "leastDeviation": 3}], model={"isolationForest": {}}),
    _detector("spec", _EXPECTS, features=[{"name": "cpu", "leastDeviation": 3}], model={"localOutlierFactor": {}}),
    _detector("spec", _EXPECTS, features=[{"name": "cpu"}, {"name": "speed", "role": "Context"}], model=_MIXED),
    _detector("spec.features[0]", _SPREADS, features=[{"name": "power", "scale": "PerEntity", "leastDeviation": 3}]),
    _detector("spec.features[0]", _SPREADS, features=[{"name": "power", "scale": "PerEntity", "scaler": "Log1p"}]),
    _detector(
        "spec",
        _BOUNDS,
        features=[{"name": "power", "scale": "PerEntity"}],
        model={"bounds": {"features": [{"name": "power", "max": 3}]}},
    ),
    _detector("spec.model", _TIMED, model={"isolationForest": {}, "time": {}}),
    _detector("spec.model", _TIMED, model={"seasonal": {}, "time": {"weekday": True}}),
    _detector("spec.model.time", "set hour or weekday, or leave time out", model={"pca": {}, "time": {"hour": False}}),
    _detector("spec.model.time.timeZone", _ZONE, model={"pca": {}, "time": {"timeZone": "Berlin time"}}),
]
