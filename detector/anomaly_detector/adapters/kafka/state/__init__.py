"""The state topic: creating it and reading it back when a partition is assigned."""
