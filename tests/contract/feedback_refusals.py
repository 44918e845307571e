"""What is wrong with drift, feedback and what training leaves out, and the sentences that the API server answers. No test."""

from tests.contract.refusals import DURATION, _detector

FEEDBACK_ROWS = [_detector("spec.drift.over", DURATION, drift={"over": "soon"})]
