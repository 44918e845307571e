"""Training Jobs: when one is ordered and what became of it."""
