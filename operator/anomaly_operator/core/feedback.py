"""What people have said of alerts, and by how much it moves the threshold. Pure: a function of what pods have read of the labels.

    labels of the model that decides           >  x, from -1 to 1         >  threshold times maxFactor to the power of x
    false alarms beyond half of those labelled    up to +1
    missed ones, of all that there was            down to -1

The labels stay what they are while the threshold moves, so it moves once and not on and on; labels to the contrary move it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from anomaly_api.feedback import Feedback, FeedbackEvidence, RevisionFeedback, precision
from anomaly_api.status import FeedbackStatus, RevisionFeedbackStatus
from anomaly_api.thresholds import with_factor
from anomaly_operator.core.models.selection import RevisionSelection
from anomaly_operator.core.snapshot import Snapshot
from anomaly_operator.core.timestamps import rfc3339, unix

_STEPS: Final = 10
"""Of x, from 0 to 1: a label more is seldom a revision more."""
_TOLD: Final = 8


@dataclass(frozen=True)
class FeedbackView:
    """What is known of labels."""

    status: FeedbackStatus | None = None
    """None: no labels are read, or nobody has read them yet."""
    normal_since: float | None = None
    """When somebody said last that something is normal now, in Unix seconds: a training of later data knows it."""


def feedback_view(snapshot: Snapshot) -> FeedbackView:
    """What the pods have read; what the status has of it where none has read all."""
    if snapshot.detector.spec.feedback is None:
        return FeedbackView()
    before = snapshot.detector.status.feedback
    told = [each.feedback for each in snapshot.evidence_by_pod.values() if each.feedback is not None]
    troubled = next((each.message for each in told if each.message), None)
    read = [each for each in told if not each.message]
    if not read:
        status = replaced(before or FeedbackStatus(labels=0, revisions=[]), troubled) if troubled or before else None
        return FeedbackView(status, unix(before.normal_since) if before and before.normal_since else None)
    newest = max(read, key=lambda each: (each.labels, sum(row.episodes for row in each.revisions)))
    return FeedbackView(_status(newest, troubled), newest.normal_since)


def replaced(status: FeedbackStatus, message: str | None) -> FeedbackStatus:
    """The same with another message."""
    return status.model_copy(update={"message": message})


def _status(read: FeedbackEvidence, message: str | None) -> FeedbackStatus:
    rows = sorted(read.revisions, key=lambda row: -(row.true_alarms + row.false_alarms + row.missed))[:_TOLD]
    return FeedbackStatus(
        labels=read.labels,
        rejected=read.rejected or None,
        normal_since=rfc3339(read.normal_since) if read.normal_since else None,
        revisions=[_row(row) for row in sorted(rows, key=lambda row: row.revision)],
        message=message or (f"the last record that is no label: {read.recent_reject}" if read.recent_reject else None),
    )


def _row(row: RevisionFeedback) -> RevisionFeedbackStatus:
    share = precision(row)
    return RevisionFeedbackStatus(
        revision=row.revision,
        model=row.model,
        episodes=row.episodes,
        true_alarms=row.true_alarms,
        false_alarms=row.false_alarms,
        missed=row.missed,
        precision=None if share is None else round(share, 3),
    )


def threshold_factor(asked: Feedback, rows: Iterable[RevisionFeedbackStatus]) -> float:
    """The factor by which the labels of one model's alerts move its threshold.

    >>> row = RevisionFeedbackStatus(revision="a", episodes=40, true_alarms=0, false_alarms=40, missed=0)
    >>> threshold_factor(Feedback(), [row]), threshold_factor(Feedback(), [row.model_copy(update={"true_alarms": 40})])
    (1.5, 1.0)
    """
    true = false = missed = 0
    for row in rows:
        true, false, missed = true + row.true_alarms, false + row.false_alarms, missed + row.missed
    if true + false + missed < asked.threshold.labels:
        return 1.0
    up = max(0.0, 2 * false / (true + false) - 1) if true + false else 0.0
    down = missed / (true + missed) if missed else 0.0
    steps = round(_STEPS * (up - down))
    return float(round(asked.threshold.max_factor ** (steps / _STEPS), 4))


def moved(snapshot: Snapshot, selection: RevisionSelection, view: FeedbackView) -> RevisionSelection:
    """The selection with its thresholds where labels have moved them: a revision of its own, which can be undone.

    Thresholds say by what factor they were moved, so that one that is kept is not moved again.
    """
    asked, revision = snapshot.detector.spec.feedback, selection.revision
    rows = view.status.revisions if view.status and revision.model else []
    factor = threshold_factor(asked, [row for row in rows if row.model == revision.model]) if asked else 1.0
    thresholds = [with_factor(each, factor) for each in revision.thresholds]
    if thresholds == revision.thresholds:
        return selection
    return replace(selection, revision=revision.model_copy(update={"thresholds": thresholds}))
