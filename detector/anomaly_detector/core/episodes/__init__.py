"""Scores to episodes: opening, updating and closing, limits, suppression."""
