"""The operator's decisions, pure: what is observed goes in, a plan comes out. No I/O, no clock, no framework."""
