"""An episode that somebody called normal: it ends, what is no worse is held back, and another model begins anew."""

import json

from anomaly_api.alert import ACCEPTED
from anomaly_detector.core.columns import MICROSECONDS
from anomaly_detector.core.configuration import Decider, decides_otherwise
from anomaly_detector.core.episodes.episode import Episode
from anomaly_detector.core.feedback.acceptance import Acceptance, Acceptances
from anomaly_detector.core.feedback.ledger import Ledger
from tests.episodes.stories import Watcher, drawn
from tests.episodes.test_episodes import of

POLICY = of(update={"every": "0s", "growth": 2.0})


def accepted(after: str) -> tuple[Watcher, str]:
    """What people are told after an episode was called normal, and the watcher."""
    watcher = Watcher(POLICY)
    assert watcher.see(drawn("..##")).drawing(4) == "...O"
    [(slot, window, episode)] = watcher.episodes.open_ones()
    assert (window, episode.open) == ("short", True)
    watcher.episodes.accept(slot, window)
    assert watcher.episodes.open_ones() == []
    return watcher, watcher.see(drawn(after, start=240)).drawing(4 + len(after))[4:]


def test_what_goes_on_as_it_was_is_for_the_record_only() -> None:
    watcher, told = accepted("####...####")
    assert told == ".o....c.o.."
    [(_, _, episode)] = watcher.episodes.open_ones()
    assert episode.suppressed_by == ACCEPTED


def test_what_becomes_twice_as_bad_is_told() -> None:
    _, told = accepted("###!!")
    assert told == ".o.O."


def test_it_is_normal_for_a_week_at_most() -> None:
    watcher, _ = accepted("...")
    late = drawn("####", start=8 * 86_400)
    assert watcher.see(late).drawing(11)[7:] == ".O.."


def test_another_model_begins_anew() -> None:
    watcher, _ = accepted("###")
    [(_, window, episode)] = watcher.episodes.renounce([0])
    assert (window, episode.recorded, episode.announced) == ("short", True, False)
    assert watcher.see(drawn("##", start=1000)).drawing(9)[7:] == ".O"


def test_what_is_remembered_of_it_comes_back() -> None:
    episode = Episode(open=True, seen=100, peak=3.0, severity="critical", recorded=True, announced=True)
    episode.accept()
    again = Episode.of(episode.state())
    assert again == episode
    assert again.accepted == 3.0
    assert again.renounce().state() == {}


def test_a_label_is_about_an_episode_by_its_id_or_by_entity_and_time() -> None:
    by_time = Acceptances.of([Acceptance("", "pump-1", 10 * MICROSECONDS, 20 * MICROSECONDS)])
    cases = [("pump-1", 15, 16, True), ("pump-1", 5, 12, True), ("pump-1", 21, 30, False), ("pump-2", 15, 16, False)]
    for entity, start, seen, expected in cases:
        assert by_time.concern("me", entity, "short", start * MICROSECONDS, seen * MICROSECONDS) is expected
    assert not Acceptances.of([]).concern("me", "pump-1", "short", 0, 0)


def test_a_label_says_nothing_of_episodes_that_begin_after_it_was_given() -> None:
    moment = {"label": "Normal", "entity": "pump-1", "by": "ann", "from": "1970-01-01T00:00:10Z", "until": "2100-01-01T00:00:00Z"}
    given = Ledger("me").label(json.dumps(moment).encode(), at_ms=50_000)
    accepted = Acceptance.of(given)
    assert accepted is not None
    said = Acceptances.of([accepted])
    assert said.concern("me", "pump-1", "short", 40 * MICROSECONDS, 60 * MICROSECONDS)
    assert not said.concern("me", "pump-1", "short", 55 * MICROSECONDS, 60 * MICROSECONDS)


def test_another_model_decides_only_where_there_is_one() -> None:
    def of_model(model: str | None) -> Decider:
        return Decider(revision="a" * 64, windows=[], model=model)

    assert decides_otherwise(of_model("one"), of_model("two"))
    assert decides_otherwise(of_model(None), of_model("one"))
    assert not decides_otherwise(of_model("one"), of_model("one"))
    assert not decides_otherwise(of_model("one"), of_model(None))
