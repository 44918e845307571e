"""Checks models that somebody brings before any scoring pod loads them. Nothing here is part of scoring."""
