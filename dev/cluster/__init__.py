"""Kubernetes for development: kind where a Docker engine answers, else one built from its Go modules.

Not for anything that must last: its data is not synced to disk and goes with it.
"""
