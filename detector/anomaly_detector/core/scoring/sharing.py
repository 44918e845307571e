"""Whether a candidate can be compared on the stable revision's windows, without any effect on them."""

from anomaly_api.assignment import Revision
from anomaly_api.schema import seconds
from anomaly_api.source import Missing


def why_apart(stable: Revision, candidate: Revision, *, every_reading: bool) -> str:
    """Why the candidate needs an intake of its own; empty: it can share that of the stable revision.

    `every_reading`: whether the running baseline learns from each. Size, every and maxGap of windows may differ, but where
    missing values are interpolated the longest maxGap decides how long a reading waits, and it is the gap of rates and means.
    """
    ours, theirs = stable.pipeline, candidate.pipeline
    for name, differs in (
        ("entity", ours.entity != theirs.entity),
        ("time", ours.time != theirs.time),
        ("filter", ours.filter != theirs.filter),
        ("way to put readings together", (ours.pairs, ours.merge) != (theirs.pairs, theirs.merge)),
        ("format", (ours.format, ours.envelope) != (theirs.format, theirs.envelope)),
        ("list of features", [each.reading for each in ours.features] != [each.reading for each in theirs.features]),
    ):
        if differs:
            return f"its {name} is not the stable revision's"
    bridges = ours.prepares or any(feature.missing is Missing.INTERPOLATE for feature in ours.features)
    if bridges and max(seconds(each.max_gap) for each in theirs.windows) > max(seconds(each.max_gap) for each in ours.windows):
        return "a maxGap is longer than all of the stable revision's: rates and interpolated values would reach over longer gaps"
    if candidate.model is None and not (every_reading and stable.fallback == candidate.fallback):
        return "it has no model, and the stable revision's running baseline is kept otherwise"
    return ""
