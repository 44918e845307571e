"""The acts of the demo, and what each must come to. An act changes something, waits for its end, and says what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from anomaly_api.status import DetectorStatus
from dev.demo.rollout.detector import Detector, RolloutDemoFailed
from dev.demo.rollout.stream import Stream
from dev.demo.topics import AlertReader

MODEL_WITHIN: Final = 300.0
ROLLOUT_WITHIN: Final = 240.0
STARTED_WITHIN: Final = 120.0
HELD_SECONDS: Final = 25.0
BROKEN_SECONDS: Final = 60.0
Draw = Callable[[], None]


@dataclass(frozen=True)
class Stage:
    """What the acts work with."""

    detector: Detector
    stream: Stream
    alerts: AlertReader
    draw: Draw

    def until(self, what: str, within: float, done: Callable[[DetectorStatus], bool]) -> DetectorStatus:
        return self.detector.until(what, within, done, self.draw)

    @property
    def stable(self) -> str:
        """Name of the revision that decides."""
        stable = self.detector.status().stable
        return stable.revision if stable is not None else ""

    def announced_by(self, revision: str) -> int:
        """Episodes that a revision opened for people to hear of."""
        return sum(arrival.alert.announces and arrival.alert.data.revision == revision for arrival in self.alerts.arrivals)


def first_model(stage: Stage) -> str:
    """The first model has only the fallback scorer to beat: its gate lets it in, and it decides at once."""
    stage.detector.apply()
    found = stage.until("the first model decides", MODEL_WITHIN, lambda status: bool(status.stable and status.stable.model))
    assert found.stable is not None, "it was waited for"
    return f"model {found.stable.model} decides, revision {found.stable.revision}"


def good_model(stage: Stage) -> str:
    """A model that is trained again on more of the same is promoted, step by step."""
    before = stage.stable
    stage.detector.train(f"demo-{time.time():.0f}")
    began = stage.until("a new model is the candidate", MODEL_WITHIN, lambda status: status.candidate is not None)
    assert began.candidate is not None, "it was waited for"
    candidate = began.candidate.revision
    ended = stage.until(f"candidate {candidate} is promoted", ROLLOUT_WITHIN, lambda status: status.candidate is None)
    if ended.stable is None or ended.stable.revision != candidate:
        raise RolloutDemoFailed(f"candidate {candidate} was not promoted: {_last(ended)}")
    return f"{candidate} was compared with {before}, and decides now"


def bad_model(stage: Stage) -> str:
    """A model that was trained on pumps that ran wrongly is taken away, and nobody hears of its alerts."""
    stage.stream.broken = True
    time.sleep(BROKEN_SECONDS)  # of the stream: what the model learns from
    stage.detector.patch({"training": {"gate": {"mode": "Off"}, "data": {"topic": {"last": "50s"}}}})
    found = stage.until("a model of wrong pumps is the candidate", MODEL_WITHIN, _other(stage, lambda s: s.candidate is not None))
    stage.stream.broken = False
    told = _taken_away(stage, found)
    stage.detector.patch({"training": {"gate": None, "data": None}})
    return told


def bad_threshold(stage: Stage) -> str:
    """A threshold at which one window in three is unusual is taken away, and nobody hears of its alerts."""
    stage.detector.patch({"threshold": {"budget": None, "quantile": 0.7}})
    found = stage.until("the new threshold is the candidate", STARTED_WITHIN, lambda status: status.candidate is not None)
    told = _taken_away(stage, found)
    stage.detector.patch({"threshold": {"quantile": None, "budget": {"episodes": 1, "per": "1w"}}})
    stage.until("the spec asks for the stable revision again", STARTED_WITHIN, lambda status: status.aborted is None)
    return told


def without_data(stage: Stage) -> str:
    """A candidate for which no readings come waits; it goes on when they do."""
    stage.stream.held = True
    stage.detector.patch({"alerts": {"cooldown": "1m"}})
    found = stage.until("the new rules are the candidate", STARTED_WITHIN, lambda status: status.candidate is not None)
    assert found.candidate is not None, "it was waited for"
    candidate = found.candidate.revision
    until = time.monotonic() + HELD_SECONDS
    still = stage.until("time passes without readings", HELD_SECONDS + 30, lambda _: time.monotonic() > until)
    if still.candidate is None or still.candidate.revision != candidate:
        raise RolloutDemoFailed(f"candidate {candidate} did not wait for readings: {_last(still)}")
    stage.stream.held = False
    ended = stage.until(f"candidate {candidate} is promoted", ROLLOUT_WITHIN, lambda status: status.candidate is None)
    if ended.stable is None or ended.stable.revision != candidate:
        raise RolloutDemoFailed(f"candidate {candidate} was not promoted when readings came: {_last(ended)}")
    return f"{candidate} waited {HELD_SECONDS:.0f} s for readings, and decides now"


def crashing_model(stage: Stage) -> str:
    """A candidate whose process dies is taken away; the stable revision goes on deciding."""
    before = stage.stable
    stage.detector.train(f"demo-{time.time():.0f}")
    found = stage.until("a new model is compared", MODEL_WITHIN, _progressing)
    assert found.candidate is not None, "it was waited for"
    candidate = found.candidate.revision
    scored = found.source.last_scored if found.source else None
    stage.detector.kill_candidate()
    ended = stage.until(f"candidate {candidate} is taken away", ROLLOUT_WITHIN, lambda status: status.candidate is None)
    if ended.stable is None or ended.stable.revision != before:
        raise RolloutDemoFailed(f"candidate {candidate} died and decides: {_last(ended)}")
    stage.until("the stable revision goes on", 60.0, lambda status: bool(status.source and status.source.last_scored != scored))
    return f"{candidate} was taken away ({_last(ended)}); {before} goes on deciding"


ACTS: Final[dict[str, Callable[[Stage], str]]] = {
    "a first model": first_model,
    "a good model": good_model,
    "a bad threshold": bad_threshold,
    "no data": without_data,
    "a model that crashes": crashing_model,
    "a bad model": bad_model,
}


def _progressing(status: DetectorStatus) -> bool:
    return status.candidate is not None and status.candidate.phase == "Progressing"


def _other(stage: Stage, done: Callable[[DetectorStatus], bool]) -> Callable[[DetectorStatus], bool]:
    """`done` of a status, while the pumps run wrongly only until the training has read them."""

    def found(status: DetectorStatus) -> bool:
        training = status.training
        if training is not None and training.state in ("Training", "Judging", "Storing"):
            stage.stream.broken = False
        return done(status)

    return found


def _taken_away(stage: Stage, found: DetectorStatus) -> str:
    assert found.candidate is not None, "it was waited for"
    before, candidate = stage.stable, found.candidate.revision
    ended = stage.until(f"candidate {candidate} is taken away", ROLLOUT_WITHIN, lambda status: status.candidate is None)
    if ended.stable is None or ended.stable.revision != before:
        raise RolloutDemoFailed(f"candidate {candidate} decides, though it is worse: {_last(ended)}")
    announced = stage.announced_by(candidate)
    if announced:
        raise RolloutDemoFailed(f"{announced} alerts of candidate {candidate} were sent before it was taken away")
    return f"{candidate} was taken away ({_last(ended)}); none of its alerts was sent; {before} goes on deciding"


def _last(status: DetectorStatus) -> str:
    if not status.history:
        return "there is no history"
    last = status.history[0]
    return f"{last.outcome}: {last.reason}"
