"""Commands for people, run inside a scoring pod or on a laptop."""
