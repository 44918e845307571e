"""What a person sees of the demo: as lines, and in a terminal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from rich.console import Console

from anomaly_api.alert import Alert
from anomaly_api.status import Condition, DetectorStatus, TrainingStatus
from dev.demo.judge import Stretch
from dev.demo.live import drawn
from dev.demo.picture import Picture
from dev.demo.producer import Progress
from dev.demo.recording import Anomaly
from dev.demo.scenario import Judged, pump_scenario
from dev.demo.screen import Lines
from dev.demo.topics import Arrival
from dev.demo.watching import Seen

NOW = 1_780_000_000.0
SCENARIO = pump_scenario(NOW, each=1)
FIRST = SCENARIO.history + 100
JUDGED = Judged(
    SCENARIO.recording,
    (Anomaly("cavitation", "pump-03", FIRST + 5, FIRST + 50), Anomaly("blocked pipe", "pump-04", FIRST + 6, FIRST + 20)),
    Stretch(FIRST, FIRST + 400, 12),
)


def condition(kind: str, status: str, reason: str, message: str) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    )


def alert(entity: str, tick: int) -> Arrival:

    time = datetime.fromtimestamp(SCENARIO.recording.time(tick), UTC).isoformat().replace("+00:00", "Z")
    data = {
        "episode": "e", "entity": entity, "window": "short", "start": time, "score": 2.5, "peak": 2.5, "threshold": 0.1,
        "reason": "Opened", "suppressed": False, "durationSeconds": 0.0, "windows": 1,
        "severity": "warning", "scorer": "Autoencoder", "revision": "12345678",
        "contributors": [{"feature": "flow", "share": 0.9, "actual": 12.0, "expected": 65.25}],
    }  # fmt: skip
    opened = {
        "type": "dev.anomaly-operator.episode.opened", "source": "/x", "id": f"{entity}{tick}", "subject": entity, "time": time,
        "data": data,
    }  # fmt: skip
    return Arrival(Alert.model_validate(opened), NOW)


def picture(tick: int, *arrivals: Arrival, training: TrainingStatus | None = None, judged: Judged | None = JUDGED) -> Picture:
    conditions = [
        condition("Ready", "True", "Ready", "the stream is scored"),
        condition("Stalled", "False", "Ready", "the stream is scored"),
    ]
    status = DetectorStatus(conditions=conditions, training=training)
    progress = Progress(tick, SCENARIO.recording.time(tick - 1), 300.0, waiting=False, done=False)
    return Picture(SCENARIO, "anomalies are put in", 61.0, Seen(status), progress, judged, tuple(arrivals))


def test_an_anomaly_is_found_once_an_alert_about_it_has_come_and_missed_once_it_is_too_late() -> None:
    cavitation, pipe = JUDGED.anomalies

    early = picture(FIRST + 20, alert("pump-03", FIRST + 9))
    late = picture(FIRST + 60, alert("pump-03", FIRST + 9))

    assert (early.found(cavitation), early.found(pipe)) == (True, None)
    assert (late.found(cavitation), late.found(pipe)) == (True, False)


def test_only_anomalies_that_have_begun_are_shown() -> None:
    assert [anomaly.kind for anomaly in picture(FIRST + 6).put_in] == ["cavitation"]


def test_a_log_says_each_thing_once_and_alerts_beside_what_was_put_in(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.show(picture(FIRST + 8))
    lines.show(picture(FIRST + 20, alert("pump-03", FIRST + 9), alert("pump-09", FIRST + 9)))
    lines.show(picture(FIRST + 21, alert("pump-03", FIRST + 9), alert("pump-09", FIRST + 9)))
    said = capsys.readouterr().out

    assert said.count("Ready=True Ready: the stream is scored") == 1
    assert said.count("Stalled=False Ready\n") == 1
    assert said.count("put in  pump-03") == 1
    assert "warning, score 2.5, flow 12 instead of 65.25  [cavitation, 4 readings in]" in said
    assert said.count("[nothing known]") == 1


def test_training_is_told_by_its_state_progress_and_what_it_waits_for() -> None:
    under_way = TrainingStatus(state="Training", job="j", progress=40, windows=12_000)
    waiting = TrainingStatus(state="Waiting", job="j", windows=10, message="10 of 1000 windows")

    assert picture(FIRST, training=under_way).training == "Training, 40%, 12,000 windows"
    assert picture(FIRST, training=waiting).training == "Waiting, 10 windows, 10 of 1000 windows"


def test_the_live_view_shows_stream_conditions_anomalies_and_alerts() -> None:
    console = Console(width=180, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(drawn(picture(FIRST + 60, alert("pump-03", FIRST + 9))))
    shown = capture.get()

    for text in ("300 readings/s", "the stream is scored", "cavitation", "found", "blocked pipe", "missed", "flow 12 instead of"):
        assert text in shown
