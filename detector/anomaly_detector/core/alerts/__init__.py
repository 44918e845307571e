"""Transitions of episodes to CloudEvents, with the trace of the message that caused them."""
