"""What people see of alerts and episodes in a terminal."""

from typing import Any

from kubectl_anomaly.commands import alerts
from kubectl_anomaly.commands.explain import explained
from kubectl_anomaly.plot import Line, plot

OPENED: dict[str, Any] = {
    "type": "dev.anomaly-operator.episode.opened",
    "time": "2026-01-01T10:00:05Z",
    "data": {
        "episode": "91ab" * 8,
        "entity": "pump-07",
        "window": "short",
        "reason": "Opened",
        "suppressed": False,
        "start": "2026-01-01T10:00:05Z",
        "end": None,
        "durationSeconds": 0.0,
        "windows": 1,
        "score": 2.71,
        "peak": 2.71,
        "severity": "critical",
        "threshold": 0.0182,
        "scorer": "Autoencoder",
        "model": "sha256:" + "7d41" * 16,
        "revision": "3f2a91c0",
        "contributors": [{"feature": "vibration", "share": 0.81, "actual": 7.9, "expected": 2.1}],
    },
}


def test_an_alert_is_a_line() -> None:
    told = "2026-01-01T10:00:05Z   opened     Opened         critical   pump-07                2.71     91ab91ab91ab   0s"
    assert alerts.line(OPENED) == f"{told}      vibration 7.9 for 2.1 (81%)"


def test_lines_that_meet_and_the_time_of_the_episode_are_drawn() -> None:
    drawn = plot([Line([1.0, 1.0, 3.0, 1.0], "●"), Line([1.0, 1.0, 1.0, None], "·")], [False, False, True, False], 40, height=3)
    assert drawn == ["3 ┤  ●", "2 ┤", "1 ┤◉◉·●", "  └──═─"]


def test_values_that_are_all_alike_have_a_picture() -> None:
    assert plot([Line([5.0, 5.0], "●")], [False, False], 40, height=3) == ["5 ┤", "5 ┤●●", "5 ┤", "  └──"]


def test_a_peak_is_seen_where_there_are_more_readings_than_columns() -> None:
    values = [1.0] * 500 + [9.0] + [1.0] * 499
    drawn = plot([Line(values, "●")], [False] * 1000, 60, height=5)
    assert drawn[0].count("●") == 1


def test_an_episode_is_explained_by_the_features_that_stand_out() -> None:
    series = [
        {
            "time": f"2026-01-01T10:00:0{second}.000Z",
            "score": 2.7 if second == 5 else 0.2,
            "actual": [7.9 if second == 5 else 2.1, 60.0],
            "expected": [2.1, 60.0],
            "errors": [9.0 if second == 5 else 0.1, 0.0],
        }
        for second in range(9)
    ]
    found = {"records": [OPENED], "series": series, "features": ["vibration", "temperature"], "note": "as of another revision"}
    told = explained(found, 60, 3)
    assert "vibration (100% of the error within the episode)" in told
    assert "temperature (" not in told
    assert "Decided by:  revision 3f2a91c0, Autoencoder, model sha256:7d417d417d41" in told
    assert "still open" in told
    assert told.endswith("Note: as of another revision")
