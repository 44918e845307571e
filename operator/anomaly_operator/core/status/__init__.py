"""Conditions and status of a detector, derived from pods and evidence."""
