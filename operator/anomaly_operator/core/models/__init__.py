"""Which model version decides and how it reaches the pods."""
