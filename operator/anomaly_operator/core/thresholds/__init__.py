"""Thresholds in the loop: a budget that is missed moves its threshold, in bounded steps, with statistical certainty."""
