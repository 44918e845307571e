"""Manifests of the children, their names, and how they differ from what is live."""
