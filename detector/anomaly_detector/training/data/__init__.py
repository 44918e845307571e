"""Training data: reading topics and files, sampling windows."""
