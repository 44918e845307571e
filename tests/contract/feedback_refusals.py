"""What is wrong with drift, feedback and what training leaves out, and the sentences that the API server answers. No test."""

from tests.contract.refusals import DURATION, TOPIC, _detector

_OWN_TOPIC = "feedback.topic must be a topic of its own: what is in the others is no label"
FEEDBACK_ROWS = [
    _detector("spec.drift.over", DURATION, drift={"over": "soon"}),
    _detector("spec", _OWN_TOPIC, feedback={"topic": "pump-readings"}),
    _detector("spec.feedback.topic", TOPIC, feedback={"topic": "pump labels"}),
]
