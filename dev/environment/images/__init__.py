"""The images of the operator, the detector and the trainer: one Dockerfile, built with or without a Docker engine."""

from __future__ import annotations

from collections.abc import Sequence

from dev.environment.images import engine
from dev.environment.images.context import SOURCES, Image, image
from dev.progress import Tell

TARGETS = tuple(SOURCES)

__all__ = ["TARGETS", "Image", "build", "image"]


def build(wanted: Sequence[Image], tell: Tell) -> None:
    """Does nothing for those that are there already."""
    one = engine.docker_build if engine.docker_answers() else engine.buildah_build
    for each in wanted:
        one(each, tell)
