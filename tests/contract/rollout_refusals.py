"""Rows of `refusals.py` about rollouts. No test."""

from tests.contract.refusals import DURATION, Wrong, _detector

ONE_STEP = "set exactly one of: shadow, weight, pause"
ADDRESS = "write the address of a server, such as http://prometheus.monitoring:9090, without credentials"
QUERY = {"name": "errors", "address": "http://prometheus:9090", "query": "up", "max": 1}


def _rollout(field: str, sentence: str, **rollout: object) -> Wrong:
    return _detector(f"spec.rollout.{field}", sentence, rollout=rollout)


def _of_steps(name: str) -> list[Wrong]:
    return [
        _rollout(f"{name}[0]", ONE_STEP, **{name: [{"weight": 10, "pause": {}}]}),
        _rollout(f"{name}[0].pause.for", DURATION, **{name: [{"pause": {"for": "soon"}}]}),
        _rollout(f"{name}[0].shadow.for", DURATION, **{name: [{"shadow": {"for": "0s"}}]}),
    ]


ROLLOUT_ROWS = [
    *_of_steps("steps"),
    *_of_steps("settingsSteps"),
    _rollout("noData.after", DURATION, noData={"after": "0s"}),
    _rollout(
        "analysis.prometheus[0].address", ADDRESS, analysis={"prometheus": [{**QUERY, "address": "http://me:secret@prometheus"}]}
    ),
    _rollout("analysis.prometheus[0].interval", DURATION, analysis={"prometheus": [{**QUERY, "interval": "0s"}]}),
]
