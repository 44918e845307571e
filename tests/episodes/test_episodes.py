"""Episodes: the table of hysteresis, and that cutting the stream differently changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_api.policy import AlertPolicy, Closing, Opening
from anomaly_detector.core.entities import Entities
from anomaly_detector.core.episodes import Episodes, Turn

POLICY = AlertPolicy(open=Opening(above=1.0, windows=2), close=Closing(below=0.8, windows=3))
LEVELS = {"#": 2.0, "-": 0.9, ".": 0.1, "?": np.nan}


def turns(episodes: Episodes, drawing: str, policy: AlertPolicy = POLICY, start: int = 0) -> str:
    """What happens at each window: `o`pened, `c`losed or nothing."""
    scores = np.array([LEVELS[mark] for mark in drawing], np.float32)
    found = ["."] * len(drawing)
    for turn in episodes.observe(np.zeros(len(scores), np.int64), np.arange(len(scores)) + start, scores, policy):
        found[turn.place] = "o" if turn.turn is Turn.OPENED else "c"
    return "".join(found)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ("..#..#..", "........"),
        ("..##....", "...o..c."),
        ("..##..#....", "...o.....c."),
        ("..##..-....", "...o.....c."),
        ("..##-----", "...o....."),
        ("..#-#.", "......"),
        ("####....##...", ".o....c..o..c"),
        ("?#?#?", "...o."),
        ("##?.?.?.?", ".o.....c."),
    ],
)
def test_an_episode_opens_and_closes_with_hysteresis(scores: str, expected: str) -> None:
    assert turns(Episodes(Entities()), scores) == expected


def test_one_window_is_enough_when_the_policy_says_so() -> None:
    eager = AlertPolicy(open=Opening(above=1.0, windows=1), close=Closing(below=0.8, windows=1))
    assert turns(Episodes(Entities()), ".#.#", eager) == ".oco"


def test_an_episode_remembers_its_start_and_its_peak() -> None:
    scores = np.array([1.5, 2.0, 7.0, 0.1, 0.1, 0.1], np.float32)
    opened, closed = Episodes(Entities()).observe(np.zeros(6, np.int64), np.arange(6) + 100, scores, POLICY)
    assert (opened.start, opened.score, opened.peak) == (101, 2.0, 2.0)
    assert (closed.start, closed.peak) == (101, 7.0)
    assert closed.score == pytest.approx(0.1)


@given(drawing=st.text("#-.?", max_size=60), cut=st.integers(0, 60))
def test_a_cut_in_the_stream_changes_nothing(drawing: str, cut: int) -> None:
    parts = Episodes(Entities())
    assert turns(parts, drawing[:cut]) + turns(parts, drawing[cut:], start=cut) == turns(Episodes(Entities()), drawing)


def test_entities_have_episodes_of_their_own() -> None:
    slots = np.array([0, 1, 1, 2])
    found = Episodes(Entities()).observe(slots, np.arange(4), np.array([2, 2, 2, 2], np.float32), POLICY)
    assert [(turn.place, turn.turn) for turn in found] == [(2, Turn.OPENED)]
