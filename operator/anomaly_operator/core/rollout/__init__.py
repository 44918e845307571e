"""Rollouts of revisions: steps, analysis of paired evidence, and the state machine that promotes or aborts. Pure.

machine    phases and transitions      view      the machine within the plan: status in, status and assignment out
analysis   verdicts on evidence        commands  what people ask
evidence   counts that survive         observed  what pods say
"""
