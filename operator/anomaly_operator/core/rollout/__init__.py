"""Rollouts of revisions: steps, analysis of paired evidence, and the state machine that promotes or aborts. Pure.

The plan does not use the package yet: a new model becomes stable at once, as `core/models/selection.py` says.
"""
