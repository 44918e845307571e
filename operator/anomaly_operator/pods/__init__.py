"""What scoring and training pods report about themselves."""
