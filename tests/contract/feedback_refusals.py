"""What is wrong with drift, feedback and what training leaves out, and the sentences that the API server answers. No test."""

from tests.contract.refusals import DURATION, TOPIC, _detector, _suppression

_OWN_TOPIC = "feedback.topic must be a topic of its own: what is in the others is no label"
_ACCEPTED = "accepted is what records say of what somebody called normal: choose another name"
FEEDBACK_ROWS = [
    _detector("spec.drift.over", DURATION, drift={"over": "soon"}),
    _detector("spec", _OWN_TOPIC, feedback={"topic": "pump-readings"}),
    _detector("spec.feedback.last", DURATION, feedback={"last": "a month"}),
    _suppression("", _ACCEPTED, name="accepted", **{"from": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z"}),
    _detector("spec.feedback.topic", TOPIC, feedback={"topic": "pump labels"}),
]
