"""The operator's verdict on drift: over pods, over restarts, and what follows from it."""

from __future__ import annotations

import pytest

from anomaly_api.drift import BinnedEvidence, DriftEvidence
from anomaly_operator.core.drift import drift_verdict
from tests.plan.situations import scoring_world
from tests.plan.world import World

MODEL = f"sha256:{'1' * 64}"
DAY = 86_400.0
SAME, OTHER = [100, 100, 100, 100], [10, 20, 70, 300]


def drift(observed=SAME, *, covered=DAY, noise=0.01, model=MODEL, scores=()):
    def bins(name, counts):
        return BinnedEvidence(
            name=name, observed=counts, expected=[sum(counts) / 4] * 4, covered=covered, psi_noise=noise, ks_noise=noise
        )

    return DriftEvidence(
        model=model,
        features=[bins("temperature", SAME), bins("pressure", observed)],
        scores=[bins("short", each) for each in scores],
    )


def world(pods=1, spec=None, **told) -> World:
    found = scoring_world()
    if spec:
        found.edit({"drift": spec})
    found.settle()
    found.run_pods(pods, **({"drift": drift(), "entities": 10} | told))
    found.settle()
    return found


def test_readings_as_in_the_training_are_no_drift():
    found = world()
    assert found.condition("DriftDetected") == ("False", "NoDrift")
    assert found.status["drift"]["figures"][0]["value"] == 0
    assert not found.plan.drifted


def test_drift_is_told_with_the_feature_and_its_figure_and_stands_in_nobodys_way():
    found = world(drift=drift(OTHER))
    assert found.condition("DriftDetected") == ("True", "FeatureDrifted")
    told = next(each for each in found.status["conditions"] if each["type"] == "DriftDetected")["message"]
    assert "pressure 1.42" in told
    assert "temperature" not in told
    assert found.condition("Ready") == ("True", "Ready")
    assert any(event.reason == "FeatureDrifted" and event.warning for event in found.events)


def test_a_score_that_is_another_is_drift_though_every_feature_is_as_before():
    found = world(drift=drift(scores=[OTHER]))
    assert found.condition("DriftDetected") == ("True", "ScoreDrifted")


def test_what_chance_makes_is_allowed_for():
    assert world(drift=drift(OTHER, noise=0.5)).condition("DriftDetected") == ("False", "NoDrift")


@pytest.mark.parametrize(("above", "expected"), [(0.3, "True"), (0.6, "False")])
def test_the_measure_and_the_limit_are_the_specs(above, expected):
    found = world(spec={"measure": "KolmogorovSmirnov", "above": above}, drift=drift(OTHER))
    assert found.condition("DriftDetected")[0] == expected
    assert found.status["drift"]["measure"] == "KolmogorovSmirnov"


def test_nothing_is_said_before_half_of_the_time_was_seen():
    assert world(drift=drift(OTHER, covered=0.4 * DAY)).condition("DriftDetected") == ("Unknown", "Counting")


def test_a_pod_that_is_replaced_changes_no_verdict_before_it_has_seen_enough():
    found = world(drift=drift(OTHER))
    found.run_pods(1, drift=drift(SAME, covered=HOUR), entities=10)
    found.settle()
    assert found.condition("DriftDetected") == ("True", "FeatureDrifted")
    found.run_pods(1, drift=drift(SAME), entities=10)
    found.settle()
    assert found.condition("DriftDetected") == ("False", "NoDrift")


HOUR = 3600.0


def test_a_pod_that_has_just_started_and_says_nothing_changes_no_verdict():
    found = world(drift=drift(OTHER))
    found.run_pods(1, drift=None, entities=0)
    found.settle()
    assert found.condition("DriftDetected") == ("True", "FeatureDrifted")


def test_a_verdict_is_of_one_model():
    found = world(drift=drift(OTHER))
    del found.models["pumps-11111111"]
    found.add_model("pumps-22222222", digit="2")
    found.settle()
    found.run_pods(1, drift=drift(OTHER), entities=10)
    found.settle()
    assert found.condition("DriftDetected") == ("Unknown", "NoReference")


def test_a_model_without_a_record_of_its_training_data_says_so():
    assert world(drift=None).condition("DriftDetected") == ("Unknown", "NoReference")


def test_pods_count_for_their_entities_however_long_each_has_counted():
    found = world(2)
    one, other = found.reports
    found.reports[one] = found.reports[one].model_copy(update={"drift": drift([900, 0, 0, 0]), "entities": 1})
    found.reports[other] = found.reports[other].model_copy(update={"drift": drift([30, 30, 30, 30]), "entities": 99})
    found.settle()
    assert found.condition("DriftDetected") == ("False", "NoDrift")


def test_a_measure_that_moves_about_the_limit_does_not_flap():
    found = world(spec={"measure": "KolmogorovSmirnov"}, drift=drift([180, 80, 70, 70]))
    found.run_pods(1, drift=drift([156, 100, 72, 72]), entities=10)
    found.settle()
    assert drift_verdict(found.snapshot, found.now).status == "False"
    found.run_pods(1, drift=drift([200, 80, 60, 60]), entities=10)
    found.settle()
    found.run_pods(1, drift=drift([170, 90, 70, 70]), entities=10)
    found.settle()
    assert found.condition("DriftDetected")[0] == "True"


def test_retraining_is_asked_for_from_when_drift_was_told_first_where_the_spec_says_so():
    found = world(spec={"action": "Retrain"}, drift=drift(OTHER))
    assert found.condition("DriftDetected")[0] == "True"
    told = found.now
    found.now += 5000
    assert drift_verdict(found.snapshot, found.now).retrain_since == told
    found.run_pods(1, drift=drift(OTHER, covered=HOUR), entities=10)
    assert drift_verdict(found.snapshot, found.now).retrain_since == told
    assert drift_verdict(world(drift=drift(OTHER)).snapshot, told).retrain_since is None
