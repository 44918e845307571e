"""The images of the operator, the detector and the trainer: one Dockerfile, built with or without a Docker engine."""

from __future__ import annotations

from dev.images import engine
from dev.images.context import SOURCES, Image, image
from dev.progress import Tell

TARGETS = tuple(SOURCES)

__all__ = ["TARGETS", "Image", "build", "image"]


def build(image: Image, tell: Tell) -> None:
    """Does nothing where the image is there already."""
    if engine.docker_answers():
        engine.docker_build(image, tell)
    else:
        engine.buildah_build(image, tell)
